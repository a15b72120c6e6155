import type { AdminAddress } from '../dev/mesh-file.ts'
import { CommandError } from '../exit-code.ts'
import { askAdmin } from '../running-mesh.ts'
import { type CertificateRow, judgeCertificates } from './certificate-row.ts'

/** What one sidecar or gateway was found to show. */
export interface ProxyState {
  /** `namespace/name`. */
  readonly workload: string
  /** `namespace/name`. */
  readonly pod: string
  /** Why it could not be asked, or understood. */
  readonly silent?: string
  readonly certificates: readonly CertificateRow[]
}

/** Asks one sidecar or gateway for its certificates, and judges them. Never rejects because it is silent. */
export async function askForCertificates(
  workload: string,
  pod: string,
  admin: AdminAddress,
  nowMs: number,
): Promise<ProxyState> {
  const identity = await askIdentity(workload, admin)
  if ('silent' in identity) return { workload, pod, silent: identity.silent, certificates: [] }
  const { chain, trustBundle, serving } = identity
  const judged = [
    judgeCertificates(workload, chain, { roots: trustBundle, nowMs }),
    ...serving.map((each) => judgeCertificates(workload, each.chain, { roots: trustBundle, kind: 'serving', nowMs })),
  ]
  const broken = judged.find((each) => !each.ok)
  return {
    workload,
    pod,
    ...(broken && { silent: `its certificate ${broken.problem}` }),
    certificates: judged.flatMap((each) => (each.ok ? [each.row] : [])),
  }
}

/** What a sidecar's `/identity` tells: certificates, and never a key. */
interface WireIdentity {
  readonly chain: string
  readonly trustBundle: readonly string[]
  readonly serving: readonly { readonly hostname: string; readonly chain: string }[]
}

async function askIdentity(workload: string, admin: AdminAddress): Promise<WireIdentity | { readonly silent: string }> {
  try {
    const answer = await askAdmin(`the sidecar of ${workload}`, admin, '/identity')
    return answer.ok ? (answer.body as WireIdentity) : { silent: 'it has no certificate yet' }
  } catch (error) {
    if (error instanceof CommandError) return { silent: error.message }
    throw error
  }
}
