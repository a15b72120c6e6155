import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-canary-'))
  mesh = await startLocalMesh({
    files: [import.meta.dirname],
    stateDirectory: join(state, 'state'),
    httpsPort: 0,
    httpPort: 0,
    readyMs: 150_000,
  })
})

after(async () => {
  await mesh?.stop()
  await rm(state, { recursive: true, force: true })
})

async function ask(headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${mesh.httpPort}/`, { headers: { connection: 'close', ...headers } })
  return `${response.status} ${(await response.text()).trim()}`
}

test('of ten requests one gets the next version, and its caller knows nothing of it', async () => {
  assert.deepEqual(mesh.issues, [])
  const answers = []
  for (let i = 0; i < 20; i++) answers.push(await ask())
  // The weights are kept to, not drawn.
  assert.equal(answers.filter((answer) => answer === '200 orders').length, 18, answers.join())
  assert.equal(answers.filter((answer) => answer === '200 orders-next').length, 2, answers.join())
})

test('testers get the next version each time', async () => {
  for (let i = 0; i < 5; i++) assert.equal(await ask({ 'x-tester': 'yes' }), '200 orders-next')
})

/** What `hauberk edges` says, as far as it is looked at. */
interface EdgesReport {
  readonly edges: readonly {
    readonly from: { readonly name: string; readonly identity?: string }
    readonly to: { readonly name: string }
    readonly security: string
    readonly requests: number
  }[]
}

/** What `hauberk` says of this mesh, as JSON, once it is what is looked for. */
async function hauberk<T>(args: readonly string[], isIt: (told: T) => boolean = () => true): Promise<T> {
  const main = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
  const all = [main, ...args, '--state', join(state, 'state'), '-o', 'json']
  const deadline = Date.now() + 60_000
  for (;;) {
    try {
      const { stdout } = await promisify(execFile)(process.execPath, all, { timeout: 60_000 })
      const told = JSON.parse(stdout) as T
      if (isIt(told)) return told
    } catch (error) {
      // Whoever asks a machine that has much else to do may be told that nobody answers.
      if (Date.now() > deadline) throw error
    }
    assert.ok(Date.now() < deadline, `hauberk ${args.join(' ')} did not tell it in a minute`)
  }
}

test('hauberk edges tells who called which of the two, with whose identity', async () => {
  for (let i = 0; i < 10; i++) await ask()
  const called = (report: EdgesReport) =>
    report.edges
      .filter(({ security, requests }) => security === 'mtls' && requests > 0)
      .map(({ from, to }) => `${from.name} ${from.identity} ${to.name}`)
  const account = 'spiffe://cluster.local/ns/canary/sa/front'
  const report = await hauberk<EdgesReport>(['edges'], (told) => called(told).length >= 3)
  assert.deepEqual(called(report).sort(), [
    `canary/front ${account} canary/orders`,
    `canary/front ${account} canary/orders-next`,
    'hauberk-system/gateway-canary-door spiffe://cluster.local/ns/hauberk-system/sa/gateway-canary-door canary/front',
  ])
})

test('hauberk tap shows the next decision of whom it is asked for', async () => {
  const tapped = hauberk<Readonly<Record<string, unknown>>>(['tap', 'orders-next', '--count', '1'])
  const isTold = tapped.then(
    () => true,
    () => true,
  )
  // Until it has seen one: when it begins to look, nobody says.
  let isOver = false
  while (!isOver) isOver = await Promise.race([isTold, ask({ 'x-tester': 'yes' }).then(() => false)])
  const { 'hauberk.workload': workload, 'service.origin.name': caller, 'hauberk.outcome': outcome } = await tapped
  assert.deepEqual([workload, caller, outcome], ['canary/orders-next', 'canary/front', 'allowed'])
})
