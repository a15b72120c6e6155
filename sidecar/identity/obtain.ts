import type { CertificateAnswer } from '../../contract/certificates.ts'
import type { Clock } from '../../runtime/clock.ts'
import { createCsr } from './csr.ts'
import { CertificateFetchError, type Credential, fetchCertificate, type OperatorAddress } from './fetch-certificate.ts'
import { makePrivateKey, pemOfKey } from './keypair.ts'

/** What is asked for: the sidecar's own identity, or a certificate for a gateway's listener. */
export type Asked = { readonly profile: 'svid' } | { readonly profile: 'serving'; readonly hostname: string }

export interface Obtained {
  /** PKCS#8, PEM. */
  readonly privateKey: string
  readonly answer: CertificateAnswer
  readonly receivedAtMs: number
}

export interface ObtainOptions {
  readonly operator: OperatorAddress
  /** In order; the next is used where the operator refuses the one before. */
  readonly credentials: readonly Credential[]
  readonly trustBundle: readonly string[]
  /** The address to dial from. Default: as the kernel says. */
  readonly localAddress?: string | undefined
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/**
 * A new key, and a certificate for it.
 *
 * @throws CertificateFetchError
 */
export async function obtain(asked: Asked, options: ObtainOptions): Promise<Obtained> {
  const { operator, credentials, trustBundle, localAddress, clock, signal } = options
  const key = await makePrivateKey()
  const request = { ...asked, csr: createCsr(key) }
  let refused = new CertificateFetchError('refused', 'there is neither a token nor a current certificate to ask with')
  for (const credential of credentials) {
    try {
      const answer = await fetchCertificate(request, { operator, credential, trustBundle, localAddress, clock, signal })
      return { privateKey: pemOfKey(key), answer, receivedAtMs: clock.now() }
    } catch (error) {
      if (!(error instanceof CertificateFetchError) || error.code !== 'refused') throw error
      refused = error
    }
  }
  throw refused
}
