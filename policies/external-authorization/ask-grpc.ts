import type { BackendCalls } from '../../model/backend-calls.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import { type Answer, unusable } from './answer.ts'
import { type CheckContext, writeCheckRequest } from './check-request.ts'
import { readCheckResponse } from './check-response.ts'
import type { AuthorizerConfig } from './config.ts'
import type { ToldRequest } from './told-request.ts'

/** Bytes of an answer, with its five of framing. */
const MAX_ANSWER_BYTES = 65_536

const METHOD = '/envoy.service.auth.v3.Authorization/Check'

/** Asks a service that speaks Envoy's ext_authz contract, version 3, by one unary call of gRPC. */
export async function askGrpc(
  { upstream, authority, timeoutMs, upstreamHeaders, clientHeaders }: AuthorizerConfig,
  told: ToldRequest,
  context: CheckContext,
  calls: BackendCalls,
  signal: AbortSignal,
): Promise<Answer> {
  const message = writeCheckRequest(told, context)
  const body = new Uint8Array(PREFIX_BYTES + message.length)
  new DataView(body.buffer).setUint32(1, message.length)
  body.set(message, PREFIX_BYTES)
  const headers: HeaderPair[] = [
    ['content-type', 'application/grpc'],
    ['grpc-timeout', `${timeoutMs}m`],
  ]
  const request = {
    method: 'POST',
    path: METHOD,
    authority,
    headers,
    body,
    timeoutMs,
    maxResponseBytes: MAX_ANSWER_BYTES,
  }
  const said = await calls.call(upstream, request, signal)
  if (said.kind === 'failure') return { kind: 'none', reason: said.reason, detail: said.detail }
  if (said.status !== 200) return { kind: 'none', reason: 'error', detail: `it answered HTTP ${said.status}` }
  // A response of nothing but trailers has them as its headers.
  const status = firstOf(said.trailers, 'grpc-status') ?? firstOf(said.headers, 'grpc-status')
  if (status === undefined) return unusable('its answer says no grpc-status')
  if (status !== '0') return { kind: 'none', reason: 'error', detail: `it answered gRPC status ${status.slice(0, 8)}` }
  const answer = messageOf(said.body)
  if (answer === undefined) return unusable('its answer is not one message of gRPC')
  return readCheckResponse(answer, { upstream: upstreamHeaders, client: clientHeaders })
}

/** Of a flag that says whether a message is compressed, and its length. */
const PREFIX_BYTES = 5

function messageOf(body: Uint8Array): Uint8Array | undefined {
  if (body.length < PREFIX_BYTES || body[0] !== 0) return undefined
  const length = new DataView(body.buffer, body.byteOffset).getUint32(1)
  return body.length === PREFIX_BYTES + length ? body.subarray(PREFIX_BYTES) : undefined
}

function firstOf(pairs: readonly HeaderPair[], name: string): string | undefined {
  return pairs.find(([each]) => each === name)?.[1]
}
