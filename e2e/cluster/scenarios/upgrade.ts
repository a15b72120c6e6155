import assert from 'node:assert/strict'
import { CONTRACT_VERSION } from '../../../contract/workload-config.ts'
import { until } from '../../world/until.ts'
import type { ClusterWorld } from '../cluster-world.ts'
import { INSTALL_VALUES, openHelm, SYSTEM_NAMESPACE } from '../helm.ts'
import { clusterOf } from '../kind-cluster.ts'
import { assertNoneLost, startPodLoad } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import { buildPreviousRelease } from '../previous-release.ts'
import { formerOperatorsGone, restart } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-upgrade'
const PER_SECOND = 100

export const upgrade: ClusterScenario = {
  name: 'upgrade',
  title:
    'F20: helm upgrade from the chart before, and back: old sidecars obey the new operator, new ones the old, and nothing is lost',
  needs: 'kind',
  async *run(world) {
    const { kubectl } = world
    const helm = openHelm(kubectl.context)
    const previous = await buildPreviousRelease(clusterOf(kubectl.context))
    const old = { ...INSTALL_VALUES, ...previous.values }
    try {
      await helm.install(old, previous.chart)
      await formerOperatorsGone(kubectl)
      const { client, url } = await loadedPair(world, NS)
      assert.equal(await sidecarImage(world, 'server'), previous.values['sidecar.image.tag'])
      const load = async (work: () => Promise<void>) => {
        const running = await startPodLoad(kubectl, client, { url, perSecond: PER_SECOND })
        await work()
        return assertNoneLost(await running.stop())
      }
      const from = `${previous.commit.slice(0, 7)} (contract ${previous.contract})`

      const upgraded = await load(async () => {
        await helm.install(INSTALL_VALUES)
        await formerOperatorsGone(kubectl)
        await edited(world, '/upgraded')
      })
      assert.equal(await sidecarImage(world, 'server'), previous.values['sidecar.image.tag'])
      yield {
        sent: `helm upgrade from ${from} to contract ${CONTRACT_VERSION}; then a policy of old sidecars is edited`,
        got: upgraded,
        said: await acknowledged(world),
      }

      const mixed = await load(() => restart(kubectl, NS, 'server'))
      assert.notEqual(await sidecarImage(world, 'server'), previous.values['sidecar.image.tag'])
      yield { sent: 'the server is rolled over; the client keeps its old sidecar', got: mixed }

      const back = await load(async () => {
        await helm.rollback()
        await edited(world, '/rolled-back')
      })
      yield {
        sent: 'helm rollback; then a policy of new sidecars is edited',
        got: back,
        said: await acknowledged(world),
      }
    } finally {
      await helm.install(INSTALL_VALUES)
      await previous.remove()
    }
    await kubectl.run(['rollout', 'status', '-n', SYSTEM_NAMESPACE, 'deploy/gateway-shop-shop', '--timeout=120s'], {
      timeoutMs: 125_000,
    })
  },
}

/** Adds a path to what the server's policy denies, and waits until that is so and its status says it. */
async function edited({ kubectl, inside }: ClusterWorld, path: string): Promise<void> {
  const rule = { name: path.slice(1), to: { paths: [path] } }
  const { spec } = await kubectl.get(['securitypolicies.hauberk.dev', '-n', NS, 'server'])
  const deny = [...(spec.authorization.deny ?? []), rule]
  const patch = JSON.stringify({ spec: { authorization: { deny } } })
  await kubectl.run(['patch', '-n', NS, 'securitypolicies.hauberk.dev', 'server', '--type=merge', '-p', patch])
  const ask = async () => (await inside(`${NS}/client`).ask({ url: `http://server.${NS}${path}` })).status
  await until(`${path} is denied`, async () => (await ask()) === 403, { withinMs: 60_000, everyMs: 300 })
  await until(
    'its status says so',
    async () => {
      const { metadata, status } = await kubectl.get(['securitypolicies.hauberk.dev', '-n', NS, 'server'])
      const { selected, acknowledged: obeying } = status.workloads
      return status.observedGeneration === metadata.generation && selected === 2 && obeying === 2
    },
    { withinMs: 60_000, everyMs: 500 },
  )
}

async function acknowledged({ kubectl }: ClusterWorld): Promise<string> {
  const { status } = await kubectl.get(['securitypolicies.hauberk.dev', '-n', NS, 'server'])
  return `in force, workloads ${status.workloads.summary}`
}

async function sidecarImage({ podOf }: ClusterWorld, app: string): Promise<string> {
  const { spec } = await podOf(`${NS}/${app}`)
  const containers = spec.initContainers as readonly { readonly name: string; readonly image: string }[]
  return (
    containers
      .find(({ name }) => name === 'hauberk-sidecar')
      ?.image.split(':')
      .at(-1) ?? ''
  )
}
