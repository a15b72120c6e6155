import type { IncomingMessage, ServerResponse } from 'node:http'
import { MAX_TOKEN_REQUEST_BYTES, type TokenAnswer, type TokenProblem } from '../../contract/internal-token.ts'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Counter, Metrics } from '../../runtime/metrics.ts'
import type { RequestLimit } from '../identity/request-limit.ts'
import type { KeysOfIssuer } from '../keys/issuer-keys.ts'
import type { TokenOutcome, TokenService } from './token-service.ts'

/** Whose certificate a connection has shown, in the handshake. */
export interface TokenPeer {
  /** DER; undefined: none that TLS has verified. */
  readonly certificate: Uint8Array | undefined
  /** The fingerprint of the root in use that vouches for it; undefined: none does any more. */
  readonly root: string | undefined
}

/** `POST /v1/token` and `GET /v1/jwks.json` (`contract/internal-token.ts`). Neither rejects. */
export interface TokenHandler {
  token(request: IncomingMessage, response: ServerResponse, peer: TokenPeer): Promise<void>
  keys(request: IncomingMessage, response: ServerResponse): void
}

export interface TokenHandlerOptions {
  readonly service: TokenService
  readonly published: () => KeysOfIssuer
  readonly trustDomain: TrustDomain
  /** Whether the mesh has anybody of this identity. */
  readonly isWanted: (spiffeId: SpiffeId) => boolean
  readonly limit: RequestLimit
  readonly clock: Clock
  readonly log: Log
  readonly metrics: TokenMetrics
}

export interface TokenMetrics {
  readonly issued: Counter<'subject'>
  readonly refused: Counter<'reason'>
}

export function tokenMetrics(metrics: Metrics): TokenMetrics {
  return {
    issued: metrics.counter({
      name: 'hauberk_internal_tokens_issued_total',
      help: 'Internal tokens that the token service has signed, by whose they are.',
      labels: ['subject'],
    }),
    refused: metrics.counter({
      name: 'hauberk_internal_token_refusals_total',
      help: 'Requests for internal tokens that the token service has refused, by why.',
      labels: ['reason'],
    }),
  }
}

/** Requests in work at once. Beyond, callers are told to come again. */
const MAX_PENDING = 1_024
const BODY_TIMEOUT_MS = 2_000
const RETRY_SECONDS = 1

/**
 * Authenticates by the certificate of the connection, limits, reads, exchanges, in this order. Refusals are those of OAuth (RFC 6749,
 * 5.2) with a stable reason as `error_description`. Tokens are never logged.
 */
export function createTokenHandler(options: TokenHandlerOptions): TokenHandler {
  const { service, published, trustDomain, isWanted, limit, clock, log, metrics } = options
  let pending = 0

  const callerOf = ({ certificate, root }: TokenPeer): SpiffeId | string => {
    const verdict = judgeSvid(certificate, { trustDomain, role: 'client', nowMs: clock.now() })
    if (!verdict.ok) return verdict.reason
    if (root === undefined) return 'untrusted-root'
    return isWanted(verdict.spiffeId) ? verdict.spiffeId : 'no-such-workload'
  }

  const answerTo = async (request: IncomingMessage, peer: TokenPeer): Promise<Answer> => {
    if (request.method !== 'POST') return problem(405, 'invalid_request', 'method')
    if (!/^application\/x-www-form-urlencoded *(?:;|$)/.test(request.headers['content-type'] ?? '')) {
      return problem(415, 'invalid_request', 'media-type')
    }
    const caller = callerOf(peer)
    if (!isSpiffeId(caller)) return problem(401, 'invalid_client', caller)
    if (pending >= MAX_PENDING || limit.admit(caller) > 0)
      return problem(429, 'temporarily_unavailable', 'too-many-requests')
    pending += 1
    try {
      const body = await readBody(request, clock)
      if (typeof body !== 'string') return body
      const address = request.socket.remoteAddress ?? ''
      const outcome = await service.exchange({ spiffeId: caller, address }, new URLSearchParams(body))
      tell(outcome, caller)
      return outcome.kind === 'issued'
        ? { status: 200, body: outcome.answer }
        : problem(outcome.status, outcome.error, outcome.reason)
    } finally {
      pending -= 1
    }
  }

  const tell = (outcome: TokenOutcome, caller: SpiffeId) => {
    if (outcome.kind === 'issued') metrics.issued.handle({ subject: outcome.of }).add()
    else log.info('internal token refused', { 'event.reason': outcome.reason, 'client.spiffe_id': caller })
  }

  return {
    async token(request, response, peer) {
      try {
        const answer = await answerTo(request, peer)
        if ('error' in answer.body) metrics.refused.handle({ reason: answer.body.error_description ?? '' }).add()
        send(response, answer)
      } catch (err) {
        log.error('token request failed', { err })
        send(response, problem(503, 'temporarily_unavailable', 'internal'))
      }
    },
    keys(request, response) {
      if (request.method !== 'GET') return send(response, problem(405, 'invalid_request', 'method'))
      response.setHeader('cache-control', 'max-age=300')
      send(response, { status: 200, body: { keys: published().keys } })
    },
  }
}

interface Answer {
  readonly status: number
  readonly body: TokenAnswer | TokenProblem | { readonly keys: KeysOfIssuer['keys'] }
}

function problem(status: number, error: string, reason: string): Answer {
  return { status, body: { error, error_description: reason } }
}

function isSpiffeId(text: SpiffeId | string): text is SpiffeId {
  return text.startsWith('spiffe://')
}

function readBody(request: IncomingMessage, clock: Clock): Promise<string | Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let total = 0
    const settle = (outcome: string | Answer) => {
      cancel()
      request.removeAllListeners('data')
      resolve(outcome)
    }
    const cancel = clock.setTimer(BODY_TIMEOUT_MS, () => settle(problem(408, 'invalid_request', 'slow-request')))
    request.on('data', (chunk: Buffer) => {
      total += chunk.length
      if (total > MAX_TOKEN_REQUEST_BYTES) settle(problem(413, 'invalid_request', 'too-large'))
      else chunks.push(chunk)
    })
    request.once('end', () => settle(Buffer.concat(chunks, total).toString('utf8')))
    request.once('error', (cause) => {
      cancel()
      reject(cause)
    })
  })
}

function send(response: ServerResponse, { status, body }: Answer): void {
  if (response.headersSent || response.destroyed) return
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  if (!response.hasHeader('cache-control')) response.setHeader('cache-control', 'no-store')
  if (status === 429 || status === 503) response.setHeader('retry-after', String(RETRY_SECONDS))
  // A body that was not read to its end must not be taken for the next request.
  if (status === 405 || status === 408 || status === 413 || status === 415 || status === 401) {
    response.setHeader('connection', 'close')
  }
  response.end(JSON.stringify(body))
}
