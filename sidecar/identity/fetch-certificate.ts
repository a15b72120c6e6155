import { request } from 'node:https'
import {
  CERTIFICATES_PATH,
  CertificateAnswer,
  CertificateProblem,
  type CertificateRequest,
  MAX_CERTIFICATE_ANSWER_BYTES,
} from '../../contract/certificates.ts'
import { decode } from '../../contract/codec.ts'
import { type SpiffeId, trustDomainOf } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { KeyedCertificate } from './identity.ts'
import { PeerIdentityError, TLS_GROUPS } from './tls-options.ts'

/** The operator, and how to know it. */
export interface OperatorAddress {
  readonly host: string
  readonly port: number
  readonly spiffeId: SpiffeId
}

/** How this sidecar proves who it is: by a token (its first certificate), or by the certificate it has. */
export type Credential =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'certificate'; readonly certificate: Pick<KeyedCertificate, 'privateKey' | 'chain'> }

export interface FetchCertificateOptions {
  readonly operator: OperatorAddress
  readonly credential: Credential
  /** PEM certificates of the roots that the operator's own certificate must lead to. */
  readonly trustBundle: readonly string[]
  /** The address to dial from. Default: as the kernel says. */
  readonly localAddress?: string | undefined
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/**
 * `unreachable`: try again; the cause says whether it was the network or TLS that failed, a wrong operator among it.
 * `busy`: try again, after `retryAfterMs` if it says so. `refused`: another credential is needed. `bad-answer`: it said
 * yes and sent something else.
 */
export type FetchFailure = 'unreachable' | 'busy' | 'refused' | 'bad-answer'

export class CertificateFetchError extends Error {
  override readonly name = 'CertificateFetchError'
  readonly code: FetchFailure
  readonly retryAfterMs: number | undefined

  constructor(code: FetchFailure, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Milliseconds that one exchange may take, connecting included. */
const TIMEOUT_MS = 10_000
/** The longest that an answer may send us away for. */
const MAX_RETRY_AFTER_S = 300

/**
 * Asks the operator for a certificate (`contract/certificates.ts`). It must prove its SPIFFE id before the token is
 * sent. What the answer is worth is the caller's to check (`createIdentity`).
 *
 * @throws CertificateFetchError
 */
export async function fetchCertificate(
  asked: CertificateRequest,
  options: FetchCertificateOptions,
): Promise<CertificateAnswer> {
  const { status, retryAfter, body } = await post(JSON.stringify(asked), options)
  if (status === 200) {
    const answer = decode(CertificateAnswer, body)
    if (answer.ok) return answer.value
    throw new CertificateFetchError('bad-answer', 'the operator answered something that is no certificate')
  }
  const problem = decode(CertificateProblem, body)
  const reason = problem.ok ? problem.value.reason : 'unknown'
  const message = `the operator answered ${status}: ${reason}`
  if (status === 429 || status >= 500) {
    const seconds = /^[0-9]{1,9}$/.test(retryAfter ?? '') ? Math.min(Number(retryAfter), MAX_RETRY_AFTER_S) : undefined
    throw new CertificateFetchError('busy', message, seconds === undefined ? {} : { retryAfterMs: seconds * 1_000 })
  }
  throw new CertificateFetchError('refused', message)
}

interface Answer {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly body: string
}

function post(body: string, options: FetchCertificateOptions): Promise<Answer> {
  const { operator, credential, trustBundle, localAddress, clock, signal } = options
  return new Promise((resolve, reject) => {
    const call = request({
      host: operator.host,
      port: operator.port,
      path: CERTIFICATES_PATH,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        connection: 'close',
        ...(credential.kind === 'token' ? { authorization: `Bearer ${credential.token}` } : {}),
      },
      agent: false,
      ...(localAddress === undefined ? {} : { localAddress }),
      servername: '',
      ca: [...trustBundle],
      ...(credential.kind === 'certificate'
        ? { key: credential.certificate.privateKey, cert: credential.certificate.chain }
        : {}),
      minVersion: 'TLSv1.3',
      ecdhCurve: TLS_GROUPS,
      checkServerIdentity: (_host, { raw }) => {
        const verdict = judgeSvid(raw, {
          trustDomain: trustDomainOf(operator.spiffeId),
          role: 'server',
          nowMs: clock.now(),
          spiffeIds: new Set([operator.spiffeId]),
        })
        return verdict.ok ? undefined : new PeerIdentityError(verdict.reason)
      },
      ...(signal === undefined ? {} : { signal }),
    })
    const cancel = clock.setTimer(TIMEOUT_MS, () => call.destroy(new Error('timed out')))
    const fail = (cause: Error) => {
      cancel()
      reject(new CertificateFetchError('unreachable', 'the operator was not reached', { cause }))
    }
    call.on('error', fail)
    call.once('response', (response) => {
      const chunks: Buffer[] = []
      let total = 0
      response.on('data', (chunk: Buffer) => {
        total += chunk.length
        if (total > MAX_CERTIFICATE_ANSWER_BYTES) call.destroy(new Error('the answer is too large'))
        else chunks.push(chunk)
      })
      response.on('error', fail)
      response.once('end', () => {
        cancel()
        resolve({
          status: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'],
          body: Buffer.concat(chunks, total).toString('utf8'),
        })
      })
    })
    call.end(body)
  })
}
