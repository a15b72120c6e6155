import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { controlPlaneNode, stopApiServer } from '../kind-node.ts'
import { assertNoneLost, startLoadByNode } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-api-server'
const AWAY_MS = 60_000

export const apiServerRestarted: ClusterScenario = {
  name: 'api-server-restarted',
  title: 'F01: the API server is away for a minute: the data plane does not notice, and what is edited lands after',
  needs: 'kind',
  async *run(world) {
    const { kubectl, inside } = world
    const { url } = await loadedPair(world, NS)
    const node = await controlPlaneNode(kubectl)
    const ask = async () => (await inside(`${NS}/client`).ask({ url: `${url}edited` })).status
    const load = await startLoadByNode(await world.podOf(`${NS}/client`), 'app', { url, perSecond: 50 })
    const startAgain = await stopApiServer(kubectl, node)
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS))
    await startAgain()
    const answering = performance.now()
    // For pods it is back when its Service leads to it. It took itself out of that as it ended, and kube-proxy, which had
    // waited up to a minute between its attempts by then, has to hear from it first: until then all pods are refused.
    const { spec } = await kubectl.get(['service', '-n', 'default', 'kubernetes'])
    const knock = { host: String(spec.clusterIP), port: 443, bytes: 'x\r\n\r\n', patienceMs: 2_000 }
    await until(
      'pods reach the API server',
      () =>
        world.sayFromOutside(knock).then(
          ({ error, text, isClosed }) => error !== 'ECONNREFUSED' && (isClosed || text !== ''),
          () => false,
        ),
      { withinMs: 120_000, everyMs: 250 },
    )
    const start = performance.now()
    await until(
      'an edit is taken',
      () =>
        kubectl
          .run([
            'patch',
            '-n',
            NS,
            'securitypolicies.hauberk.dev',
            'server',
            '--type=json',
            '-p',
            JSON.stringify([
              { op: 'add', path: '/spec/authorization/deny', value: [{ name: 'edited', to: { paths: ['/edited'] } }] },
            ]),
          ])
          .then(
            () => true,
            () => false,
          ),
      { withinMs: 30_000, everyMs: 250 },
    )
    await until('the edit is in force', async () => (await ask()) === 403, { withinMs: 30_000, everyMs: 100 })
    const tookMs = Math.round(performance.now() - start)
    assert.ok(tookMs <= 10_000, `converged ${tookMs} ms after the API server was back`)
    yield {
      sent: `the API server is away for ${AWAY_MS / 1_000} s; then a policy is edited`,
      got: `in force ${(tookMs / 1_000).toFixed(1)} s after it is back`,
      said: `pods reached it ${((start - answering) / 1_000).toFixed(1)} s after it answered at its own address`,
    }
    yield { sent: 'meanwhile, 50 requests a second', got: assertNoneLost(await load.stop()) }
  },
}
