import { createHash } from 'node:crypto'
import type { Certificate } from '../../model/x509/certificate.ts'

/** Which root: the name of its entry in the CA store, and what it must be. */
export interface RootRef {
  /** `root-2`: the one that was made for generation 2. `root-custom-...`: one that a user brought. */
  readonly name: string
  /** SHA-256 of the certificate's DER, lower-case hex. */
  readonly fingerprint: string
}

/** A root of the mesh. */
export interface Root extends RootRef {
  readonly certificate: Certificate
}

/** The root that a mesh is made with. */
export const FIRST_ROOT = 'root-1'

/** As `openssl x509 -fingerprint -sha256` prints it, in lower case and without colons. */
export function fingerprintOf({ der }: Pick<Certificate, 'der'>): string {
  return createHash('sha256').update(der).digest('hex')
}
