import type { StatusReport } from '../../operator/status/report.ts'
import { askForCertificates } from '../certs/ask-for-certificates.ts'
import type { AdminAddress } from '../dev/mesh-file.ts'
import { CommandError } from '../exit-code.ts'
import { askAdmin, findRunningMesh } from '../running-mesh.ts'
import type { LiveMesh } from './live.ts'

/** Asks the operator and every sidecar of the mesh that runs with this state directory. Whoever is silent is told of. */
export async function askMesh(state: string, nowMs: number): Promise<LiveMesh> {
  const { operator, proxies } = await findRunningMesh(state)
  const [status, ...states] = await Promise.all([
    askStatus(operator.admin),
    ...proxies.map(({ workload, pod, admin }) => askForCertificates(workload, pod, admin, nowMs)),
  ])
  return 'silent' in status
    ? { status: NOTHING, operatorSilent: status.silent, proxies: states }
    : { status, proxies: states }
}

const NOTHING: StatusReport = { resources: [], workloads: [], issuers: [], fileIssues: [] }

async function askStatus(admin: AdminAddress): Promise<StatusReport | { readonly silent: string }> {
  try {
    const answer = await askAdmin('the operator', admin, '/status')
    return answer.ok ? (answer.body as StatusReport) : { silent: `the operator answered ${answer.status}` }
  } catch (error) {
    if (error instanceof CommandError) return { silent: error.message }
    throw error
  }
}
