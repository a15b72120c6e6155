import { FileError, readFileCapped } from '../../runtime/atomic-file.ts'
import type { Credential } from './fetch-certificate.ts'
import type { KeyedCertificate } from './identity.ts'

/**
 * What a sidecar proves itself with after its first certificate.
 *
 * `certificate`: by the one it has, and by a token only where that does not do any more. The local mesh: a join token is
 * taken once. `token`: by its token every time, and by nothing else. A cluster: the kubelet keeps the token fresh, and
 * without one the key of a pod that is gone would be renewed for ever.
 */
export type ProvenBy = 'certificate' | 'token'

export interface CredentialsOptions {
  /** Holds one token; read anew at each attempt, because whoever starts this sidecar may put a fresh one there. */
  readonly tokenFile: string
  /** Default: `certificate`. */
  readonly provenBy?: ProvenBy
}

const MAX_TOKEN_BYTES = 16_384

/** In the order in which they are tried. `current`: a certificate that has not expired. */
export async function credentialsFor(
  { tokenFile, provenBy = 'certificate' }: CredentialsOptions,
  current: Pick<KeyedCertificate, 'privateKey' | 'chain'> | undefined,
): Promise<readonly Credential[]> {
  const isByCertificate = provenBy === 'certificate' && current !== undefined
  const byCertificate: readonly Credential[] = isByCertificate ? [{ kind: 'certificate', certificate: current }] : []
  const token = await readToken(tokenFile).catch((cause: unknown) => {
    if (isByCertificate) return undefined
    throw cause
  })
  return token === undefined ? byCertificate : [...byCertificate, { kind: 'token', token }]
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    const token = (await readFileCapped(path, MAX_TOKEN_BYTES)).toString('utf8').trim()
    return token === '' ? undefined : token
  } catch (cause) {
    if (cause instanceof FileError && cause.code === 'missing') return undefined
    throw cause
  }
}
