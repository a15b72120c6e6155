import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseMetrics } from '../../world/metrics.ts'
import { until } from '../../world/until.ts'
import type { ClusterWorld } from '../cluster-world.ts'
import { openDenyPolicies } from '../deny-policies.ts'
import { SYSTEM_NAMESPACE } from '../helm.ts'
import { compactEtcd, controlPlaneNode, type KindNode, restartApiServer } from '../kind-node.ts'
import { assertNoneLost, startLoadByNode } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-watch'
/** More than a page of a list. */
const POLICIES = 600
const CUTS = 12
const CUT_MS = 800

export const watchTrouble: ClusterScenario = {
  name: 'watch-trouble',
  title:
    'F24: the operators’ connections to the API server are cut again and again, then what they watch from is forgotten: no policy is lost',
  needs: 'kind',
  async *run(world) {
    const { kubectl, inside } = world
    const { url } = await loadedPair(world, NS)
    const ask = async (path: string) => (await inside(`${NS}/client`).ask({ url: `${url}${path}` })).status
    const comes = (path: string, status: number) =>
      until(`${path} is answered ${status}`, async () => (await ask(path)) === status, {
        withinMs: 30_000,
        everyMs: 200,
      })
    const policies = await openDenyPolicies(kubectl, NS)
    const node = await controlPlaneNode(kubectl)
    try {
      await policies.create(POLICIES)
      await comes(`never/${POLICIES - 1}`, 403)
      // What is denied stays denied, whatever a list leaves out; and what is allowed stays allowed.
      const pod = await world.podOf(`${NS}/client`)
      const denied = await startLoadByNode(pod, 'app', { url: `${url}never/7`, perSecond: 20, status: 403 })
      const allowed = await startLoadByNode(pod, 'app', { url, perSecond: 20 })

      const before = await trouble(world)
      const writing = policies.edit({ perSecond: 10, atOnce: 4, forMs: CUTS * CUT_MS * 2, count: 5 })
      for (let i = 0; i < CUTS; i++) {
        await cutOff(world, node, () => sleep(CUT_MS))
        await sleep(CUT_MS)
      }
      const { lastPath, edits } = await writing
      const started = performance.now()
      await comes(lastPath.slice(1), 403)
      const after = await trouble(world)
      assert.ok(after.errors > before.errors, 'the cuts were noticed')
      yield {
        sent: `${CUTS} times: connections of the operators to the API server are reset; ${edits} edits`,
        got: `the last one in force after ${Math.round(performance.now() - started)} ms`,
        said: `${after.errors - before.errors} lists and watches failed`,
      }

      await cutOff(world, node, async () => {
        await policies.remove(10)
        await policies.set(11, '/moved/11')
        await policies.create(POLICIES + 1, POLICIES)
        await compactEtcd(node)
        await restartApiServer(kubectl, node)
      })
      const back = performance.now()
      await comes('moved/11', 403)
      const tookMs = Math.round(performance.now() - back)
      // All of it came with one list.
      assert.deepEqual(await Promise.all(['never/10', 'never/11', `never/${POLICIES}`].map(ask)), [200, 200, 403])
      const last = await trouble(world)
      assert.ok(last.expired > after.expired, 'a watch was told 410')
      yield {
        sent: 'cut off meanwhile: one is deleted, one edited, one made; etcd is compacted, the API server restarted',
        got: `as it is to be after ${tookMs} ms`,
        said: `${last.expired - after.expired} watches were told 410`,
      }
      const known = await ask(`never/${POLICIES - 1}`)
      assert.equal(known, 403)
      yield { sent: 'all the while: a path that is allowed', got: assertNoneLost(await allowed.stop()) }
      yield { sent: 'all the while: a path that is denied', got: assertNoneLost(await denied.stop(), '403') }
    } finally {
      policies.stop()
    }
  },
}

/** While `work` goes on, every packet of an operator for the API server is answered by a reset. */
async function cutOff({ kubectl }: ClusterWorld, { run }: KindNode, work: () => Promise<void>): Promise<void> {
  const pods = await operators(kubectl)
  const rules = pods.map(({ status }) =>
    ['INPUT', '-s', String(status.podIP), '-p', 'tcp', '--dport', '6443'].concat(
      '-j',
      'REJECT',
      '--reject-with',
      'tcp-reset',
    ),
  )
  try {
    for (const rule of rules) await run('iptables', '-w', '-I', ...rule)
    await work()
  } finally {
    for (const rule of rules) await run('iptables', '-w', '-D', ...rule)
  }
}

function operators(kubectl: ClusterWorld['kubectl']) {
  return kubectl.list(['pods', '-n', SYSTEM_NAMESPACE, '-l', 'app.kubernetes.io/name=hauberk-operator'])
}

/** What the reflectors of all operators counted. */
async function trouble({ kubectl }: ClusterWorld): Promise<{ readonly errors: number; readonly expired: number }> {
  const counts = await Promise.all(
    (await operators(kubectl)).map(async ({ metadata }) => {
      const at = { namespace: SYSTEM_NAMESPACE, pod: metadata.name }
      const text = await kubectl.exec(at, ['node', '/app/hauberk-operator.mjs', 'ask', '/metrics'])
      return parseMetrics(text).filter(({ name }) => name === 'hauberk_kubernetes_errors_total')
    }),
  )
  const sum = (samples: ReturnType<typeof parseMetrics>) => samples.reduce((total, { value }) => total + value, 0)
  const all = counts.flat()
  return { errors: sum(all), expired: sum(all.filter(({ labels }) => /Expired|Gone/.test(labels['reason'] ?? ''))) }
}
