import assert from 'node:assert/strict'
import { lossesIn } from '../../scenarios/under-load.ts'
import { until } from '../../world/until.ts'
import type { ClusterWorld } from '../cluster-world.ts'
import { INSTALL_VALUES, openHelm, SYSTEM_NAMESPACE } from '../helm.ts'
import { loadDerivedSidecar } from '../images.ts'
import { clusterOf } from '../kind-cluster.ts'
import { assertNoneLost, startPodLoad } from '../load.ts'
import { loadedPair } from '../loaded-pair.ts'
import { formerOperatorsGone, ready, restart } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-sidecar-image'
const TAG = 'e2e-next'
const PER_SECOND = 200

export const sidecarImage: ClusterScenario = {
  name: 'sidecar-image',
  title:
    'F19: another sidecar image is rolled out, to gateways and to apps, at 200 requests a second, and none is lost',
  needs: 'kind',
  async *run(world) {
    const { kubectl } = world
    const helm = openHelm(kubectl.context)
    await loadDerivedSidecar(TAG, clusterOf(kubectl.context))
    const { client, url } = await loadedPair(world, NS)
    const fromOutside = (await world.load()).window()
    const load = await startPodLoad(kubectl, client, { url, perSecond: PER_SECOND })
    try {
      await helm.install({ ...INSTALL_VALUES, 'sidecar.image.tag': TAG })
      await gatewaysRun(world, TAG)
      await formerOperatorsGone(kubectl)
      yield { sent: `helm upgrade --set sidecar.image.tag=${TAG}`, got: 'the gateways run it' }
      await restart(kubectl, NS, 'server')
      const { spec } = await world.podOf(`${NS}/server`)
      const images = (spec.initContainers as readonly { readonly image: string }[]).map(({ image }) => image)
      assert.deepEqual([...new Set(images)], [`hauberk-sidecar:${TAG}`])
      yield { sent: 'kubectl rollout restart deployment/server', got: `its pods have ${images[0]}` }
    } finally {
      await helm.install(INSTALL_VALUES)
      await gatewaysRun(world, undefined)
    }
    yield { sent: 'helm upgrade, back to the image before', got: 'the gateways run it' }
    yield { sent: `meanwhile, ${PER_SECOND} requests a second inside`, got: assertNoneLost(await load.stop()) }
    yield { sent: 'and the shop’s, through the gateway', got: await lossesIn(fromOutside) }
  },
}

/** Waits until the operator has given the gateway this image, and its pods have it. */
async function gatewaysRun({ kubectl }: ClusterWorld, tag: string | undefined): Promise<void> {
  await until(
    'the gateway has the image',
    async () => {
      const { spec } = await kubectl.get(['deployment', '-n', SYSTEM_NAMESPACE, 'gateway-shop-shop'])
      return String(spec.template.spec.containers[0].image).endsWith(`:${TAG}`) === (tag === TAG)
    },
    { withinMs: 60_000, everyMs: 500 },
  )
  await ready(kubectl, SYSTEM_NAMESPACE, ['gateway-shop-shop'])
}
