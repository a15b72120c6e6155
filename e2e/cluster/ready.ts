import { until } from '../world/until.ts'
import { SYSTEM_NAMESPACE } from './helm.ts'
import type { Kubectl } from './kubectl.ts'

/** Milliseconds that pods have to come up, beside everything else on a small machine. */
const WITHIN_MS = 180_000

/** Waits until Deployments of a namespace have rolled out. */
export async function ready(kubectl: Kubectl, namespace: string, deployments: readonly string[]): Promise<void> {
  for (const name of deployments) {
    await kubectl.run(['rollout', 'status', '-n', namespace, `deployment/${name}`, `--timeout=${WITHIN_MS / 1_000}s`], {
      timeoutMs: WITHIN_MS + 5_000,
    })
  }
}

/** Waits until the operators that an upgrade ends are gone: until then one of them may still inject what it was told to. */
export async function formerOperatorsGone(kubectl: Kubectl): Promise<void> {
  await until(
    'former operators are gone',
    async () => {
      const pods = await kubectl.list(['pods', '-n', SYSTEM_NAMESPACE, '-l', 'app.kubernetes.io/name=hauberk-operator'])
      return pods.every(({ metadata }) => metadata.deletionTimestamp === undefined)
    },
    { withinMs: WITHIN_MS, everyMs: 500 },
  )
}

/** Restarts a Deployment's pods and waits until all of them are new. */
export async function restart(kubectl: Kubectl, namespace: string, name: string): Promise<void> {
  await kubectl.run(['rollout', 'restart', '-n', namespace, `deployment/${name}`])
  await ready(kubectl, namespace, [name])
}
