import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { FilterSlots, WorkloadConfig } from '../../contract/workload-config.ts'
import { httpBackend } from '../serve/testing/backend.ts'
import { get, type TestClient } from '../serve/testing/client.ts'
import { inbound, route, workloadConfig } from '../serve/testing/world.ts'
import { startPod, type TestPod } from './testing/pod.ts'

const APP = { kind: 'app', port: 8080, requestTimeoutMs: 10_000 } as const

/** Everything to the application; `requests` in a day, if any are counted. */
function config(requests?: number, more: Partial<WorkloadConfig> = {}): WorkloadConfig {
  const limit = {
    ...{ name: 'all', policy: 'SecurityPolicy/shop/p', origin: 'shop/p@1', mode: 'enforce' },
    ...{ key: [{ kind: 'service-account' }], requests, perMs: 86_400_000, burst: requests },
  }
  const filters: FilterSlots =
    requests === undefined
      ? {}
      : { 'rate-limit': [{ state: 'resolved', mode: 'enforce', origins: ['shop/p@1'], config: { limits: [limit] } }] }
  return workloadConfig([{ ...inbound(8080), routes: [route(APP, { filters })] }], more)
}

async function podOf(t: TestContext, workers: number, pushed: WorkloadConfig): Promise<TestPod> {
  const { port } = await httpBackend(t, (request, response) => {
    // What is asked to be slow ends when a test says so, by another request.
    if (request.url === '/slow') waiting.push(() => response.end('slow'))
    else response.end('ok')
  })
  const waiting: (() => void)[] = []
  t.after(() => {
    for (const release of waiting) release()
  })
  const pod = await startPod(t, { workers, config: pushed, appPort: port })
  await pod.whenReady()
  return pod
}

const dialMany = (pod: TestPod, count: number) => Promise.all(Array.from({ length: count }, () => pod.dial()))

function destroy(clients: readonly TestClient[]): void {
  for (const client of clients) client.destroy()
}

async function statusesOf(clients: readonly TestClient[], rounds = 1): Promise<Map<number, number>> {
  const counts = new Map<number, number>()
  await Promise.all(
    clients.map(async (client) => {
      for (let i = 0; i < rounds; i++) {
        const { status } = await client.request(get('/'))
        counts.set(status, (counts.get(status) ?? 0) + 1)
      }
    }),
  )
  return counts
}

describe('a sidecar with two workers', () => {
  it('spreads 200 connections within 60 to 40, and says so', async (t) => {
    const pod = await podOf(t, 2, config())
    const tried: string[] = []
    // The kernel throws dice: one time in two hundred it is not so, and three times in a row never.
    for (const last of [false, false, true]) {
      const clients = await dialMany(pod, 200)
      const [first, second] = [
        await pod.metric('hauberk_worker_connections{worker="0"}'),
        await pod.metric('hauberk_worker_connections{worker="1"}'),
      ]
      assert.equal(first + second, 200)
      assert.equal(await pod.metric('hauberk_open_connections'), 200)
      destroy(clients)
      tried.push(`${first} and ${second}`)
      if (Math.min(first, second) >= 80) break
      assert.ok(!last, tried.join('; '))
      for (let open = 200; open > 0; ) open = await pod.metric('hauberk_open_connections')
    }
  })

  it('lets exactly as many requests through as a limit says, over many connections, and counts them as one', async (t) => {
    const pod = await podOf(t, 2, config(100))
    const clients = await dialMany(pod, 30)
    const statuses = await statusesOf(clients, 10)
    assert.deepEqual(Object.fromEntries(statuses), { 200: 100, 429: 200 })
    const series = (status: number, outcome: string) =>
      `hauberk_requests_total{direction="inbound",route="route",method="GET",status="${status}",outcome="${outcome}"}`
    assert.equal(await pod.metric(series(200, 'allowed')), 100)
    assert.equal(await pod.metric(series(429, 'denied')), 200)
    // Whichever worker refused: the pod can explain it.
    const refusals = await Promise.all(clients.slice(0, 10).map((client) => client.request(get('/'))))
    for (const { status, body } of refusals) {
      assert.equal(status, 429)
      const { decisionId } = JSON.parse(body) as { readonly decisionId: string }
      const answer = await pod.ask(`/decision?id=${decisionId}`)
      assert.equal(answer.status, 200)
      assert.equal(((await answer.json()) as { readonly denial: string }).denial, 'rate-limited')
    }
    destroy(clients)
  })

  it('obeys a config everywhere before it says so, and believes a new root everywhere', async (t) => {
    const pod = await podOf(t, 2, config())
    const clients = await dialMany(pod, 20)
    assert.deepEqual(Object.fromEntries(await statusesOf(clients)), { 200: 20 })
    const roots = [pod.mesh.ca.root]
    await pod.push(config(5, { trustBundle: roots }))
    assert.deepEqual(Object.fromEntries(await statusesOf(clients)), { 200: 5, 429: 15 })
    await pod.push(config(undefined, { trustBundle: roots, listeners: [] }))
    await assert.rejects(pod.dial())
    destroy(clients)
  })
})
