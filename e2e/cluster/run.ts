import { join } from 'node:path'
import { SCENARIOS } from '../scenarios/all.ts'
import type { Scenario } from '../scenarios/scenario.ts'
import type { TourPrinter } from '../tour/print.ts'
import { keepBundle } from './bundle.ts'
import { type ClusterWorld, openClusterWorld } from './cluster-world.ts'
import { INSTALL_VALUES, openHelm, SYSTEM_NAMESPACE } from './helm.ts'
import { buildAndLoadImages } from './images.ts'
import { deleteKindCluster, ensureKindCluster, KIND_CONFIG, KIND_MULTI_CONFIG } from './kind-cluster.ts'
import { type Kubectl, openKubectl } from './kubectl.ts'
import { DEFAULT_CLUSTER, type E2eRun } from './options.ts'
import { ready, restart } from './ready.ts'
import type { ClusterScenario } from './scenario.ts'
import { CLUSTER_SCENARIOS } from './scenarios/all.ts'
import { installShop } from './shop.ts'
import { lookFor, needsFor } from './tools-needed.ts'

/** Made from e2e/kind-multi.yaml. */
const TWO_NODE_CLUSTER = 'hauberk-multi'

/** Shop scenarios that say something about a laptop only. */
const LAPTOP_ONLY: ReadonlySet<string> = new Set(['short-certificates'])

/** Shop scenarios of the core set: one of each kind of behaviour. */
const CORE: ReadonlySet<string> = new Set([
  'plain-http',
  'public-catalog',
  'no-token',
  'own-orders',
  'machine',
  'forged-tokens',
  'identity-headers',
  'plaintext',
  'certificates',
  'service-to-service',
  'database',
  'no-policy',
  'dry-run',
  'database-session',
  'policy-edited',
  'broken-policy',
  'operator-killed',
  'sidecar-killed',
])

/** Every scenario that a cluster can show: the shop's, from the same files as on a laptop, and the cluster's own. */
export const ALL: readonly (Scenario | ClusterScenario)[] = [
  ...SCENARIOS.filter(({ name }) => !LAPTOP_ONLY.has(name)),
  ...CLUSTER_SCENARIOS,
]

export function isCore(scenario: Scenario | ClusterScenario): boolean {
  return 'core' in scenario ? scenario.core === true : CORE.has(scenario.name)
}

export interface E2eSummary {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Something is missing on this machine; the message says all that is, and what to do. */
export class MissingNeed extends Error {
  override readonly name = 'MissingNeed'
}

/** What is also run where there are two nodes and two address families, by name. */
const ON_TWO_NODES_TOO: ReadonlySet<string> = new Set(['mutual-tls', 'plaintext-to-pods', 'own-orders'])

/**
 * Brings up what is needed and runs the scenarios. What fails is told, kept as a bundle, and the next one runs.
 *
 * What wants two nodes has a kind cluster of its own, made for it and taken away after it, unless the one that was asked for is
 * not the usual one.
 */
export async function runE2e(request: E2eRun, print: TourPrinter, signal: AbortSignal): Promise<E2eSummary> {
  const chosen = chosenOf(request)
  await timed(print, 'look for what is needed', () => preflight(request.context === undefined))
  if (request.context !== undefined || request.cluster !== DEFAULT_CLUSTER) {
    return runOnCluster(request, chosen, print, signal)
  }
  const onTwoNodes = chosen.filter((scenario) => 'needs' in scenario && scenario.needs === 'two-nodes')
  const onOne = chosen.filter((scenario) => !onTwoNodes.includes(scenario))
  const summaries: E2eSummary[] = []
  if (onOne.length > 0) summaries.push(await runOnCluster(request, onOne, print, signal))
  if (onTwoNodes.length > 0 && !signal.aborted) {
    const more = request.all ? onOne.filter(({ name }) => ON_TWO_NODES_TOO.has(name)) : []
    const own = { ...request, cluster: TWO_NODE_CLUSTER, skipImages: false, skipInstall: false }
    try {
      summaries.push(await runOnCluster(own, [...onTwoNodes, ...more], print, signal))
    } finally {
      await timed(print, `take ${TWO_NODE_CLUSTER} away`, () => deleteKindCluster(TWO_NODE_CLUSTER))
    }
  }
  const sum = (of: keyof E2eSummary) => summaries.reduce((total, summary) => total + summary[of], 0)
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }
}

/** Runs scenarios on the cluster that the request names. */
async function runOnCluster(
  request: E2eRun,
  chosen: readonly (Scenario | ClusterScenario)[],
  print: TourPrinter,
  signal: AbortSignal,
): Promise<E2eSummary> {
  const config = request.cluster === TWO_NODE_CLUSTER ? KIND_MULTI_CONFIG : KIND_CONFIG
  const { context } =
    request.context === undefined
      ? await timed(print, `cluster ${request.cluster}`, () => ensureKindCluster(request.cluster, config))
      : { context: request.context }
  const kubectl = openKubectl(context)
  const helm = openHelm(context)
  if (!request.skipImages) {
    const cluster = request.context === undefined ? request.cluster : undefined
    await timed(print, 'build and load images', () => buildAndLoadImages(cluster))
  }
  let world: ClusterWorld | undefined
  const failing = async (error: unknown) => {
    print.failed(error)
    const directory = join(request.bundles, new Date().toISOString().replaceAll(':', '-'))
    await keepBundle(kubectl, directory, [SYSTEM_NAMESPACE, 'shop', 'identity', ...(world?.ownNamespaces() ?? [])])
    print.note(`What the cluster looked like: ${directory}`)
  }
  try {
    const wasThere = await isInstalled(kubectl)
    if (!request.skipInstall) await timed(print, 'helm install --wait', () => helm.install(INSTALL_VALUES))
    await timed(print, 'kubectl apply -k samples/shop', () => installShop(kubectl))
    // Other images of the same tag: nobody starts a pod anew for that.
    if (wasThere && !request.skipImages) await timed(print, 'restart what ran', () => restartAll(kubectl))
    world = await timed(print, 'look at the mesh', () => openClusterWorld(kubectl))
  } catch (error) {
    await failing(error)
    return { passed: 0, failed: 1, skipped: chosen.length }
  }

  let passed = 0
  let failed = 0
  let skipped = 0
  try {
    const nodes = await kubectl.list(['nodes'])
    for (const scenario of chosen) {
      if (signal.aborted) break
      print.begin(scenario)
      const missing = 'needs' in scenario ? missingFor(scenario, nodes.length, context) : undefined
      if (missing !== undefined) {
        skipped += 1
        print.note(` - skipped: ${missing}`)
        continue
      }
      try {
        for await (const step of scenario.run(world)) {
          print.step(step)
          signal.throwIfAborted()
        }
        passed += 1
        await world.cleanUp()
      } catch (error) {
        failed += 1
        await failing(error)
      }
    }
  } finally {
    await world.close()
  }
  skipped += chosen.length - passed - failed - skipped
  return { passed, failed, skipped }
}

/** Why a scenario cannot be shown on this cluster; undefined: it can. */
function missingFor({ needs }: ClusterScenario, nodes: number, context: string): string | undefined {
  if (needs === 'two-nodes' && nodes < 2) return 'this cluster has one node (e2e/kind-multi.yaml has two)'
  if (needs === 'kind' && !context.startsWith('kind-')) return 'it reaches into the nodes of a kind cluster'
  return undefined
}

function isInstalled(kubectl: Kubectl): Promise<boolean> {
  return kubectl.get(['deployment', '-n', SYSTEM_NAMESPACE, 'hauberk-operator']).then(
    () => true,
    () => false,
  )
}

async function restartAll(kubectl: Kubectl): Promise<void> {
  await restart(kubectl, SYSTEM_NAMESPACE, 'hauberk-operator')
  for (const namespace of [SYSTEM_NAMESPACE, 'identity', 'shop']) {
    const names = (await kubectl.list(['deployments', '-n', namespace])).map(({ metadata }) => metadata.name)
    const others = names.filter((name) => name !== 'hauberk-operator')
    await kubectl.run(['rollout', 'restart', '-n', namespace, ...others.map((name) => `deployment/${name}`)])
    await ready(kubectl, namespace, others)
  }
}

function chosenOf({ only, all }: E2eRun): readonly (Scenario | ClusterScenario)[] {
  if (only.length === 0) return ALL.filter((scenario) => all || isCore(scenario))
  return ALL.filter(({ name }) => only.includes(name))
}

async function preflight(ownCluster: boolean): Promise<void> {
  const missing = (await lookFor(needsFor({ ownCluster }))).filter(({ problem }) => problem !== undefined)
  if (missing.length === 0) return
  const lines = missing.map(({ need, problem }) => `${need.what}: ${problem}\n  ${need.fix}`)
  throw new MissingNeed(lines.join('\n'))
}

async function timed<T>(print: TourPrinter, what: string, work: () => Promise<T>): Promise<T> {
  print.doing(what)
  const start = performance.now()
  const done = await work()
  print.note(` ✓ ${what.padEnd(34)} ${((performance.now() - start) / 1_000).toFixed(1).padStart(6)} s`)
  return done
}
