import { Agent, request } from 'node:https'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { decode } from '../../contract/codec.ts'
import {
  ACCESS_TOKEN,
  MAX_TOKEN_ANSWER_BYTES,
  TOKEN_EXCHANGE,
  TOKEN_PATH,
  TokenAnswer,
  TokenProblem,
  TXN_TOKEN,
  UNSIGNED_JSON,
} from '../../contract/internal-token.ts'
import { INTERNAL_TOKENS, type TokenFailure, type WantedToken } from '../../model/internal-tokens.ts'
import { type SpiffeId, trustDomainOf } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { OperatorAddress } from '../identity/fetch-certificate.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import { clientTlsOptions } from '../identity/tls-options.ts'

/** Asks the token service of the operator. */
export interface TokenClient {
  /** Resolves within `TOKEN_TIMEOUT_MS`, and never rejects. */
  ask(wanted: WantedToken): Promise<GrantedToken | TokenFailure>
  close(): void
}

export interface GrantedToken {
  readonly kind: 'granted'
  readonly text: string
  readonly expiresInMs: number
}

export interface TokenClientOptions {
  readonly operator: OperatorAddress
  readonly spiffeId: SpiffeId
  readonly identity: Pick<IdentityStore, 'current' | 'onChange'>
  readonly clock: Clock
}

/** Milliseconds that one request may take, connecting included. */
export const TOKEN_TIMEOUT_MS = 2_000

/** Connections kept to the operator; requests beyond wait for one. */
const MAX_CONNECTIONS = 4

/** The operator's own is 5 s: it must not close one just as it is used. */
const IDLE_MS = 4_000

export function createTokenClient({ operator, spiffeId, identity, clock }: TokenClientOptions): TokenClient {
  const trustDomain = trustDomainOf(spiffeId)
  const operatorIds = new Set([operator.spiffeId])
  const makeAgent = () =>
    new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS, timeout: IDLE_MS, maxCachedSessions: 0 })
  let agent = makeAgent()
  // Connections that are open have shown the certificate of before; those under way end by themselves.
  const unfollow = identity.onChange(() => {
    const before = agent
    agent = makeAgent()
    clock.setTimer(TOKEN_TIMEOUT_MS, () => before.destroy(), { keepAlive: false })
  })

  const post = (body: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const tls = clientTlsOptions(identity.current(), operatorIds, { alpn: MESH_ALPN.http, now: clock.now })
      const call = request({
        // The operator is no sidecar: it speaks HTTP/1.1 by its own name.
        ...{ ...tls, ALPNProtocols: ['http/1.1'] },
        host: operator.host,
        port: operator.port,
        path: TOKEN_PATH,
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) },
        agent,
      })
      const cancel = clock.setTimer(TOKEN_TIMEOUT_MS, () => call.destroy(new Error('timed out')), { keepAlive: false })
      const fail = (cause: Error) => {
        cancel()
        reject(
          Object.assign(cause, {
            isStale: call.reusedSocket && (cause as NodeJS.ErrnoException).code === 'ECONNRESET',
          }),
        )
      }
      call.on('error', fail)
      call.once('response', (response) => {
        const chunks: Buffer[] = []
        let total = 0
        response.on('data', (chunk: Buffer) => {
          total += chunk.length
          if (total > MAX_TOKEN_ANSWER_BYTES) call.destroy(new Error('the answer is too large'))
          else chunks.push(chunk)
        })
        response.on('error', fail)
        response.once('end', () => {
          cancel()
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks, total).toString('utf8') })
        })
      })
      call.end(body)
    })

  return {
    async ask(wanted) {
      const body = formOf(wanted, trustDomain, spiffeId)
      let answer: Answer
      try {
        // A kept connection may have been closed by the other side just now: that says nothing of the operator.
        answer = await post(body).catch((error: unknown) => (isStale(error) ? post(body) : Promise.reject(error)))
      } catch (error) {
        return { kind: 'unavailable', detail: `the token service was not reached: ${(error as Error).message}` }
      }
      return readAnswer(answer)
    },
    close() {
      unfollow()
      agent.destroy()
    },
  }
}

interface Answer {
  readonly status: number
  readonly body: string
}

function readAnswer({ status, body }: Answer): GrantedToken | TokenFailure {
  if (status === 200) {
    const answer = decode(TokenAnswer, body)
    if (!answer.ok) return { kind: 'unavailable', detail: 'the token service answered something that is no token' }
    return { kind: 'granted', text: answer.value.access_token, expiresInMs: answer.value.expires_in * 1_000 }
  }
  const problem = decode(TokenProblem, body)
  const reason = problem.ok ? (problem.value.error_description ?? problem.value.error) : 'unknown'
  // Who is not known yet, or asks too often, is not refused for what was asked.
  const isRefused = status === 400 || status === 403
  return { kind: isRefused ? 'refused' : 'unavailable', detail: `the token service answered ${status}: ${reason}` }
}

function formOf({ subject, scope, ttlSeconds, claims }: WantedToken, trustDomain: string, spiffeId: SpiffeId): string {
  const form = new URLSearchParams({
    grant_type: TOKEN_EXCHANGE,
    requested_token_type: TXN_TOKEN,
    audience: trustDomain,
    subject_token: subject?.text ?? JSON.stringify({ sub: spiffeId }),
    subject_token_type:
      subject === undefined ? UNSIGNED_JSON : subject.issuer === INTERNAL_TOKENS ? TXN_TOKEN : ACCESS_TOKEN,
    request_details: JSON.stringify({ ttl: ttlSeconds, claims }),
  })
  if (scope.length > 0) form.set('scope', scope.join(' '))
  return form.toString()
}

function isStale(error: unknown): boolean {
  return error instanceof Error && (error as { readonly isStale?: boolean }).isStale === true
}
