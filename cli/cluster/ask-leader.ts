import type { StatusReport } from '../../operator/status/report.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import type { Cluster } from './cluster.ts'
import { askStatus } from './collect.ts'
import type { Lease, Pod } from './objects.ts'
import { operatorPodsOf } from './operator-pods.ts'
import { seenOrEnd } from './pods.ts'
import { readAll, readOne, seen } from './read.ts'

/** What the leading operator knows. Ends the command where none can be asked. */
export async function askLeader(cluster: Cluster): Promise<StatusReport> {
  const { client } = cluster
  const lease = { apiVersion: 'coordination.k8s.io/v1', plural: 'leases', name: OPERATOR_SERVICE_ACCOUNT }
  const [held, pods] = await Promise.all([
    readOne<Lease>(client, { ...lease, namespace: SYSTEM_NAMESPACE }),
    readAll<Pod>(client, { apiVersion: 'v1', plural: 'pods', kind: 'Pod', namespace: SYSTEM_NAMESPACE }),
  ])
  const operators = operatorPodsOf(seenOrEnd(pods, `the pods of ${SYSTEM_NAMESPACE}`))
  const report = await askStatus(cluster, seen(held), operators)
  if (!('silent' in report)) return report
  throw new CommandError(EXIT.failure, `the operator cannot be asked: ${report.silent}; hauberk check tells more`)
}
