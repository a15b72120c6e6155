import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type CertificateAnswer,
  CertificateRequest,
  MAX_CERTIFICATE_REQUEST_BYTES,
} from '../../contract/certificates.ts'
import { decode } from '../../contract/codec.ts'
import type { HostnamePattern } from '../../model/hostname.ts'
import { describeIssue } from '../../model/result.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Audit } from '../audit/audit.ts'
import { certificateIssued } from './audit-events.ts'
import type { Authority } from './authority.ts'
import type { Caller, CallerAuthenticator } from './caller.ts'
import { publicKeyOfCsr } from './csr.ts'
import type { LeafRequest } from './leaf-certificate.ts'
import { verifiedCertificateOf } from './peer.ts'
import type { RequestLimit } from './request-limit.ts'

export interface CertificateHandlerOptions {
  readonly authority: Authority
  readonly authenticator: CallerAuthenticator
  readonly limit: RequestLimit
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Log
  /**
   * The DNS names that this caller may serve for a `hostname` of its listeners, as its Gateway resource has them;
   * undefined when it has none. Nothing of the names comes from the request but this choice.
   */
  readonly servingNames: (caller: Caller, hostname: string) => readonly HostnamePattern[] | undefined
}

export type CertificateHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/**
 * Requests in work at once: being authenticated or signed. Beyond, callers are told to come again (F04). Who is waited for,
 * because the rest of the request has not come, takes no place: how many of those there are is bounded by caller.
 */
const MAX_PENDING = 64
const BUSY_RETRY_SECONDS = 1
const BODY_TIMEOUT_MS = 5_000

/**
 * `POST /v1/certificates` (`contract/certificates.ts`): authenticates, limits, reads, checks, signs, in this order, so
 * that nobody unknown costs more than a look at a token. Refusals are problem documents (RFC 9457) with a stable
 * `reason`. Tokens, keys and requests are never logged.
 *
 * Mount it on a server with {@link operatorTlsOptions} (`server-identity.ts`). Never rejects.
 */
export function createCertificateHandler(options: CertificateHandlerOptions): CertificateHandler {
  let pending = 0
  const inTurn: InTurn = async (work) => {
    if (pending >= MAX_PENDING) return busy(BUSY_RETRY_SECONDS)
    pending += 1
    try {
      return await work()
    } finally {
      pending -= 1
    }
  }
  return async (request, response) => {
    try {
      const outcome = await handle(request, options, inTurn)
      if ('reason' in outcome) refuse(response, outcome)
      else send(response, 200, 'application/json', outcome)
    } catch (err) {
      options.log.error('certificate request failed', { err })
      refuse(response, { status: 503, reason: 'internal', title: 'The certificate authority cannot answer now.' })
    }
  }
}

/** Does what takes a place; a refusal where there is none. */
type InTurn = <T>(work: () => Promise<T>) => Promise<T | Refusal>

interface Refusal {
  readonly status: number
  readonly reason: string
  readonly title: string
  readonly retryAfterSeconds?: number
}

async function handle(
  request: IncomingMessage,
  options: CertificateHandlerOptions,
  inTurn: InTurn,
): Promise<CertificateAnswer | Refusal> {
  const { authenticator, limit, log } = options
  if (request.method !== 'POST') return { status: 405, reason: 'method', title: 'Certificates are asked for by POST.' }
  if (!/^application\/json *(?:;|$)/.test(request.headers['content-type'] ?? '')) {
    return { status: 415, reason: 'media-type', title: 'The request must be JSON.' }
  }
  const bearer = bearerOf(request)
  if (bearer === 'malformed') return { status: 401, reason: 'malformed-authorization', title: 'Bearer tokens only.' }
  const remoteAddress = request.socket.remoteAddress
  const certificate = verifiedCertificateOf(request.socket)
  const verdict = await inTurn(() => authenticator.authenticate({ bearer, certificate, remoteAddress }))
  if ('title' in verdict) return verdict
  if (!verdict.ok) {
    log.warn('certificate refused', { 'event.reason': verdict.reason, 'source.ip': remoteAddress })
    const { status, reason, retryAfterSeconds } = verdict
    const title = status === 429 || status === 503 ? 'Ask again later.' : 'The caller is not who may ask.'
    return { status, reason, title, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }
  }
  const { caller } = verdict
  const waitMs = limit.admit(caller.pod?.uid ?? caller.workload ?? caller.spiffeId)
  const refusal = (found: Refusal): Refusal => {
    log.warn('certificate refused', { 'event.reason': found.reason, 'client.spiffe_id': caller.spiffeId })
    return found
  }
  if (waitMs > 0) return refusal(busy(Math.ceil(waitMs / 1_000)))

  const leaf = await readLeafRequest(request, caller, options)
  if ('reason' in leaf) return refusal(leaf)
  return inTurn(() => issue(leaf, caller, options))
}

async function readLeafRequest(
  request: IncomingMessage,
  caller: Caller,
  { clock, servingNames }: CertificateHandlerOptions,
): Promise<LeafRequest | Refusal> {
  const body = await readBody(request, clock)
  if (typeof body !== 'string') return body
  const asked = decode(CertificateRequest, body)
  if (!asked.ok) return { status: 400, reason: 'malformed-request', title: asked.issues.map(describeIssue).join('; ') }
  const publicKey = publicKeyOfCsr(asked.value.csr)
  if (!publicKey.ok) return { status: 400, reason: 'bad-csr', title: publicKey.issues.map(describeIssue).join('; ') }
  if (asked.value.profile === 'svid') {
    return { profile: 'svid', publicKey: publicKey.value, spiffeId: caller.spiffeId }
  }
  const dnsNames = servingNames(caller, asked.value.hostname)
  if (dnsNames === undefined || dnsNames.length === 0) {
    return { status: 403, reason: 'not-its-listener', title: 'The caller serves no listener with this hostname.' }
  }
  return { profile: 'serving', publicKey: publicKey.value, dnsNames }
}

async function issue(
  leaf: LeafRequest,
  caller: Caller,
  { authority, audit, log }: CertificateHandlerOptions,
): Promise<CertificateAnswer> {
  const issued = await authority.issue(leaf)
  audit.record(certificateIssued(leaf, caller, issued))
  log.info('certificate issued', {
    'client.spiffe_id': caller.spiffeId,
    'hauberk.workload': caller.workload,
    'hauberk.proven_by': caller.provenBy,
    'hauberk.profile': leaf.profile,
    'x509.serial_number': issued.serial,
    'x509.not_after': new Date(issued.notAfterMs).toISOString(),
  })
  return {
    certificate: issued.chain,
    trustBundle: [...pemsOf(authority.trustBundle())],
    notAfterMs: issued.notAfterMs,
  }
}

/** RFC 6750, 2.1. Two `Authorization` lines are never one caller: Node keeps the first, so they are counted here. */
function bearerOf(request: IncomingMessage): string | undefined | 'malformed' {
  const lines = request.headersDistinct['authorization'] ?? []
  if (lines.length === 0) return undefined
  const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(lines[0] ?? '')?.[1]
  return lines.length > 1 || token === undefined ? 'malformed' : token
}

function readBody(request: IncomingMessage, clock: Clock): Promise<string | Refusal> {
  const tooLarge: Refusal = { status: 413, reason: 'too-large', title: 'The request is too large.' }
  if (Number(request.headers['content-length'] ?? 0) > MAX_CERTIFICATE_REQUEST_BYTES) return Promise.resolve(tooLarge)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let total = 0
    const settle = (outcome: string | Refusal) => {
      cancel()
      request.removeAllListeners('data')
      resolve(outcome)
    }
    const cancel = clock.setTimer(BODY_TIMEOUT_MS, () =>
      settle({ status: 408, reason: 'slow-request', title: 'The request took too long to arrive.' }),
    )
    request.on('data', (chunk: Buffer) => {
      total += chunk.length
      if (total > MAX_CERTIFICATE_REQUEST_BYTES) settle(tooLarge)
      else chunks.push(chunk)
    })
    request.once('end', () => settle(Buffer.concat(chunks, total).toString('utf8')))
    request.once('error', (cause) => {
      cancel()
      reject(cause)
    })
  })
}

function busy(retryAfterSeconds: number): Refusal {
  return { status: 429, reason: 'too-many-requests', title: 'Ask again later.', retryAfterSeconds }
}

function refuse(response: ServerResponse, { retryAfterSeconds, ...problem }: Refusal): void {
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds))
  if (problem.status === 401) response.setHeader('www-authenticate', 'Bearer')
  // A body that was not read to its end must not be taken for the next request.
  if (problem.status !== 429) response.setHeader('connection', 'close')
  send(response, problem.status, 'application/problem+json', problem)
}

function send(response: ServerResponse, status: number, type: string, body: object): void {
  if (response.headersSent || response.destroyed) return
  response.statusCode = status
  response.setHeader('content-type', type)
  response.setHeader('cache-control', 'no-store')
  response.end(JSON.stringify(body))
}
