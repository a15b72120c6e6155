import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { isAlive } from './meshed-pod.ts'
import type { Pod } from './objects.ts'

/** The pods of operators that have not come to their end. */
export function operatorPodsOf(pods: readonly Pod[]): readonly Pod[] {
  return pods.filter(
    (pod) =>
      pod.metadata.namespace === SYSTEM_NAMESPACE &&
      pod.metadata.labels?.['app.kubernetes.io/name'] === OPERATOR_SERVICE_ACCOUNT &&
      isAlive(pod),
  )
}
