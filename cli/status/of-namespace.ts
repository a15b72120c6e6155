import type { StatusReport } from '../../operator/status/report.ts'
import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'

/** What of a mesh concerns one namespace: its own, what is of no namespace, and the workloads of its Gateways. */
export function ofNamespace(report: StatusReport, namespace: string): StatusReport {
  const gateways = report.resources
    .filter((resource) => resource.kind === 'Gateway' && resource.namespace === namespace)
    .map(({ name }) => `${SYSTEM_NAMESPACE}/gateway-${namespace}-${name}`)
  return {
    ...report,
    resources: report.resources.filter((resource) => (resource.namespace ?? namespace) === namespace),
    workloads: report.workloads.filter(
      ({ workload }) => workload.startsWith(`${namespace}/`) || gateways.includes(workload),
    ),
  }
}
