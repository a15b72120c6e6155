import type { HeaderPair } from '../../model/verdict.ts'
import type { HeaderLines } from './http1/header-lines.ts'

/** https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
const DEADLINE_EXCEEDED = 4
const PERMISSION_DENIED = 7
const RESOURCE_EXHAUSTED = 8
const UNIMPLEMENTED = 12
const INTERNAL = 13
const UNAVAILABLE = 14
const UNAUTHENTICATED = 16
const UNKNOWN = 2

/**
 * What a refusal's HTTP status is to a caller of gRPC: by what gRPC's own clients make of it where no proxy says more
 * (doc/http-grpc-status-mapping.md). It is more exact in three places: who is over a limit has exhausted something, where
 * UNAVAILABLE would have many clients try again at once; and what took too long is told apart from what is not there.
 */
const STATUS_OF: Readonly<Record<number, number>> = {
  400: INTERNAL,
  401: UNAUTHENTICATED,
  403: PERMISSION_DENIED,
  404: UNIMPLEMENTED,
  408: DEADLINE_EXCEEDED,
  413: RESOURCE_EXHAUSTED,
  421: UNAVAILABLE,
  429: RESOURCE_EXHAUSTED,
  431: RESOURCE_EXHAUSTED,
  501: UNIMPLEMENTED,
  502: UNAVAILABLE,
  503: UNAVAILABLE,
  504: DEADLINE_EXCEEDED,
}

/** Whether it is a call of gRPC, by its content type (gRPC over HTTP2, Requests). gRPC-Web speaks otherwise. */
export function isGrpc(headers: HeaderLines): boolean {
  const type = headers.get('content-type')
  return type !== undefined && GRPC.test(type)
}

const GRPC = /^application\/grpc(?:$|[+; \t])/i

/** What stands in the head of a response that is nothing but trailers: HTTP status 200, and no body. */
export function grpcStatusLines(httpStatus: number, message: string): readonly HeaderPair[] {
  const status = STATUS_OF[httpStatus] ?? UNKNOWN
  return [
    ['content-type', 'application/grpc'],
    ['grpc-status', String(status)],
    ['grpc-message', percentEncode(message)],
  ]
}

/** gRPC over HTTP2, Status-Message: UTF-8, of which visible ASCII and the space stay as they are, but for `%`. */
function percentEncode(message: string): string {
  let text = ''
  for (const octet of Buffer.from(message)) {
    const isPlain = octet >= 0x20 && octet <= 0x7e && octet !== 0x25
    text += isPlain ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

const MS_OF: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 }

/**
 * Milliseconds that the caller gives the whole call (gRPC over HTTP2, Timeout: up to eight digits and a unit), at least one.
 * Undefined: it gives it for ever, or says something that is no timeout, of which the application may think what it likes.
 */
export function grpcTimeoutMs(headers: HeaderLines): number | undefined {
  const found = /^([0-9]{1,8})([HMSmun])$/.exec(headers.get('grpc-timeout') ?? '')
  if (found === null) return undefined
  return Math.max(1, Math.ceil(Number(found[1]) * MS_OF[found[2]!]!))
}
