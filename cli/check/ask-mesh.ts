import type { StatusReport } from '../../operator/status/report.ts'
import { askForCertificates } from '../certs/ask-for-certificates.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import { askAdmin, findRunningMesh } from '../running-mesh.ts'
import type { LiveMesh } from './live.ts'

/** Asks the operator and every sidecar of the mesh that runs with this state directory. */
export async function askMesh(state: string, nowMs: number): Promise<LiveMesh> {
  const { operator, proxies } = await findRunningMesh(state)
  const [status, ...states] = await Promise.all([
    askAdmin('the operator', operator.admin, '/status'),
    ...proxies.map(({ workload, pod, admin }) => askForCertificates(workload, pod, admin, nowMs)),
  ])
  if (!status.ok) throw new CommandError(EXIT.failure, `the operator answered ${status.status}`)
  return { status: status.body as StatusReport, proxies: states }
}
