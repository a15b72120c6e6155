import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Flip, FlipsRequest } from '../../apps/flips.ts'
import { parseMetrics } from '../../world/metrics.ts'
import { until } from '../../world/until.ts'
import type { ClusterWorld } from '../cluster-world.ts'
import { proxyContainer } from '../decision-logs.ts'
import { SYSTEM_NAMESPACE } from '../helm.ts'
import type { Kubectl, PodContainer } from '../kubectl.ts'
import { assertNoneLost, startPodLoad } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'
import { scriptOf } from '../script.ts'

const NS = 'e2e-sizing'
const EDITS = 100
const PODS = 100
const LOAD_MS = 15_000

export const sizing: ClusterScenario = {
  name: 'sizing',
  title: 'what the mesh takes: memory, how soon a policy is in force, what injection adds to the creation of a pod',
  async *run(world) {
    const { kubectl } = world
    const { client, url } = await loadedPair(world, NS)
    yield { sent: 'memory of the operators', got: await operatorMemory(world) }
    const workloads = world.workloads()
    yield { sent: `memory of ${workloads.length} sidecars`, got: await sidecarMemory(world, workloads) }

    const load = await startPodLoad(kubectl, client, { url, perSecond: 200 })
    await new Promise((resolve) => setTimeout(resolve, LOAD_MS))
    const under = await sidecarMemory(world, [`${NS}/server`])
    yield {
      sent: 'a sidecar after 200 requests a second',
      got: under,
      said: assertNoneLost(await load.stop()),
    }

    const { saved, sent } = await pushLatency(world, client, url)
    yield { sent: `${EDITS} edits, from the answer of the API server until in force`, got: spread(saved, 'ms') }
    yield { sent: 'the same, from when the edit was sent', got: spread(sent, 'ms') }

    const injected = await creation(world, NS)
    const plain = await creation(world, await world.namespace(`${NS}-plain`, { inject: false }))
    yield { sent: `${PODS} pods are created (dry run) with injection and review`, got: spread(injected, 'ms') }
    yield { sent: 'the same in a namespace that did not opt in', got: spread(plain, 'ms') }
    yield { sent: 'the API server’s own count of the webhook that injects', got: await webhookTimes(world) }

    const bytes = await releaseBytes(world)
    assert.ok(bytes < 1_048_576, `${bytes} bytes`)
    yield { sent: 'Secret of the Helm release', got: `${Math.round(bytes / 1_024)} KiB of 1,024` }
  },
}

/** Edits a policy again and again, and asks how long it takes until another answer comes: by one clock, that of this machine. */
async function pushLatency({ kubectl }: ClusterWorld, client: PodContainer, url: string) {
  const asked: FlipsRequest = { url: `${url}flips`, everyMs: 5, forMs: 240_000 }
  const program = ['node', '--input-type=module', '--eval', await scriptOf('flips'), '--', JSON.stringify(asked)]
  const { namespace, pod, container = '' } = client
  const flips: Flip[] = []
  const child = kubectl.follow(['exec', '-n', namespace, pod, '-c', container, '--', ...program], (line) =>
    flips.push(JSON.parse(line) as Flip),
  )
  const proxy = await kubectl.proxy()
  const saved: number[] = []
  const sent: number[] = []
  try {
    await until('it is asked', () => flips.at(-1)?.status === 200, { withinMs: 30_000 })
    for (let edit = 0; edit < EDITS; edit++) {
      const isDenied = edit % 2 === 0
      const deny = isDenied ? [{ name: 'flips', to: { paths: ['/flips'] } }] : null
      const sentMs = Date.now()
      const response = await fetch(`${proxy.url}/apis/hauberk.dev/v1alpha1/namespaces/${NS}/securitypolicies/server`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: JSON.stringify({ spec: { authorization: { deny } } }),
      })
      const savedMs = Date.now()
      assert.equal(response.status, 200, await response.text())
      const seen = flips.length
      const flip = await until(
        `edit ${edit} is in force`,
        () =>
          flips
            .slice(Math.max(0, seen - 1))
            .find(({ status, timeMs }) => timeMs >= sentMs && status === (isDenied ? 403 : 200)),
        { withinMs: 30_000, everyMs: 5 },
      )
      saved.push(Math.max(0, flip.timeMs - savedMs))
      sent.push(flip.timeMs - sentMs)
    }
    return { saved, sent }
  } finally {
    proxy.stop()
    child.kill()
    await once(child, 'close')
  }
}

/** Milliseconds that the API server takes for each of some pods that are only tried, one after the other. */
async function creation({ kubectl }: ClusterWorld, namespace: string): Promise<readonly number[]> {
  const proxy = await kubectl.proxy()
  try {
    const times: number[] = []
    for (let i = 0; i < PODS; i++) {
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `tried-${i}`, labels: { app: 'tried' } },
        spec: { containers: [{ name: 'app', image: 'hauberk-shop:0.1.0', ports: [{ containerPort: 8080 }] }] },
      }
      const start = performance.now()
      const response = await fetch(`${proxy.url}/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(pod),
      })
      const said = await response.text()
      assert.equal(response.status, 201, said)
      times.push(performance.now() - start)
    }
    return times
  } finally {
    proxy.stop()
  }
}

/** MiB of a container's first process: all that it has mapped, and what nobody else can have mapped as well. */
interface Memory {
  readonly resident: number
  readonly own: number
}

async function operatorMemory({ kubectl }: ClusterWorld): Promise<string> {
  const { spec } = await kubectl.get(['lease', '-n', SYSTEM_NAMESPACE, 'hauberk-operator'])
  const operators = ['pods', '-n', SYSTEM_NAMESPACE, '-l', 'app.kubernetes.io/name=hauberk-operator']
  const told = (await kubectl.list(operators)).map(async ({ metadata: { name } }) => {
    const { resident, own } = await memoryOf(kubectl, { namespace: SYSTEM_NAMESPACE, pod: name })
    return `${resident} MiB resident, ${own} its own${String(spec.holderIdentity).startsWith(name) ? ' (leads)' : ''}`
  })
  return (await Promise.all(told)).join('; ')
}

async function sidecarMemory(world: ClusterWorld, workloads: readonly string[]): Promise<string> {
  const sizes: Memory[] = []
  for (const workload of workloads) {
    const { metadata } = await world.podOf(workload)
    const namespace = metadata.namespace ?? ''
    const container = proxyContainer(namespace)
    sizes.push(await memoryOf(world.kubectl, { namespace, pod: metadata.name, container }))
  }
  const range = (of: (size: Memory) => number) => {
    const all = sizes.map(of)
    return all.length === 1 ? `${all[0]}` : `${Math.min(...all)} to ${Math.max(...all)}`
  }
  return `${range(({ resident }) => resident)} MiB resident, ${range(({ own }) => own)} its own`
}

async function memoryOf(kubectl: Kubectl, at: PodContainer): Promise<Memory> {
  const status = await kubectl.exec(at, ['cat', '/proc/1/status'])
  const of = (field: string) =>
    Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1_024)
  return { resident: of('VmRSS'), own: of('RssAnon') }
}

/** How many of the calls of `inject.hauberk.dev` were answered within 100 ms, ever. */
async function webhookTimes({ kubectl }: ClusterWorld): Promise<string> {
  const samples = parseMetrics(await kubectl.run(['get', '--raw', '/metrics'])).filter(
    ({ name, labels }) =>
      name.startsWith('apiserver_admission_webhook_admission_duration_seconds') &&
      labels['name'] === 'inject.hauberk.dev',
  )
  const sum = (name: string, le?: string) =>
    samples
      .filter((one) => one.name.endsWith(name) && (le === undefined || one.labels['le'] === le))
      .reduce((total, { value }) => total + value, 0)
  const [all, quick] = [sum('_count'), sum('_bucket', '0.1')]
  const mean = Math.round((sum('_sum') / all) * 1_000)
  return `${quick} of ${all} calls within 100 ms (${((quick / all) * 100).toFixed(1)} %), mean ${mean} ms`
}

async function releaseBytes({ kubectl }: ClusterWorld): Promise<number> {
  const secrets = await kubectl.list(['secrets', '-n', SYSTEM_NAMESPACE, '-l', 'owner=helm,status=deployed'])
  const sizes = secrets.map(({ data }) => Buffer.from(data?.['release'] ?? '', 'base64').length)
  assert.ok(sizes.length > 0, 'the release is Helm’s')
  return Math.max(...sizes)
}

function spread(values: readonly number[], unit: string): string {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, least ${at(0)}, most ${at(1)} ${unit}`
}
