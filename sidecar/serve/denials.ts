import type { Denial, Deny, HeaderPair } from '../../model/verdict.ts'
import type { ConnectError } from '../upstream/connect.ts'
import type { Problem } from './http1/problem.ts'

/** What the mesh itself says no by, beside the policies. Each has a row in docs/denials.md. */

export const NOT_SERVING = denial('not-serving', 503, 'This service is not being served.')
export const NO_ROUTE = denial('no-route', 404, 'There is nothing here.')
export const MISDIRECTED = denial('misdirected', 421, 'This connection is for another host.')
export const BACKEND_UNRESOLVED = denial('backend-unresolved', 500, 'The route leads to a service that does not exist.')
export const REQUEST_TIMEOUT = denial('request-timeout', 408, 'The request took too long to arrive.')
export const OVERLOADED = denial('overloaded', 503, 'The proxy is overloaded.')
export const DECISION_TIMEOUT = denial('decision-timeout', 503, 'A security policy of this service took too long.')

export const NO_ENDPOINTS = denial('no-endpoints', 503, 'The service has no endpoint.')
export const UPSTREAM_CONNECT = denial('upstream-connect', 502, 'The service cannot be reached.')
export const UPSTREAM_OVERFLOW = denial('upstream-overflow', 503, 'The service has too many connections.')
export const UPSTREAM_RESET = denial('upstream-reset', 502, 'The service broke off.')
export const UPSTREAM_PROTOCOL = denial('upstream-protocol', 502, 'The service sent something that is no response.')
export const UPSTREAM_TIMEOUT = denial('upstream-timeout', 504, 'The service did not answer in time.')
export const GRPC_NEEDS_HTTP2 = denial(
  'grpc-needs-http2',
  503,
  'The service is not reached by HTTP/2, which gRPC needs.',
)
export const NO_WEBSOCKET = denial('no-websocket', 501, 'The service takes no WebSocket.')
export const DEADLINE_EXCEEDED = denial('deadline-exceeded', 504, 'The time that the caller gave has passed.')
export const UNWRITABLE_HEAD = denial('unwritable-head', 500, 'The message cannot be passed on.')

export const PROXY_CREDENTIAL = denial(
  'proxy-credential',
  407,
  'The proxy serves one workload, which has a credential.',
)
export const OUTBOUND_UNKNOWN_HOST = denial('outbound-unknown-host', 403, 'This workload may not call that host.')
export const OUTBOUND_HOST_MISMATCH = denial('outbound-host-mismatch', 421, 'The tunnel is for another host.')
export const OUTBOUND_NOT_HTTP = denial('outbound-not-http', 403, 'That service does not speak HTTP: use CONNECT.')
export const OUTBOUND_NOT_PROXIED = denial('outbound-not-proxied', 400, 'This is a forward proxy: name the host.')
export const OUTBOUND_FORBIDDEN_ADDRESS = denial(
  'outbound-forbidden-address',
  403,
  'That host leads to an address that may not be called.',
)
export const OUTBOUND_UNKNOWN_ADDRESS = denial(
  'outbound-unknown-address',
  403,
  'This workload may not call that address.',
)
export const OUTBOUND_UNRESOLVED = denial('outbound-unresolved', 502, 'That host has no address.')

/** Of connections: nobody is told these. */
export const PLAINTEXT_REFUSED = denial('plaintext-refused', 400, 'This port takes mutual TLS only.')
export const PEER_IDENTITY = denial('peer-identity', 403, 'The certificate proves no identity of this mesh.')
export const WRONG_ALPN = denial('wrong-alpn', 403, 'The peer does not speak what this port does.')
export const HANDSHAKE_FAILED = denial('handshake-failed', 400, 'The TLS handshake failed.')
export const CLIENT_HELLO = denial('client-hello', 400, 'The connection does not begin as TLS does.')
export const DATABASE_OPENING = denial(
  'database-opening',
  400,
  'The connection does not begin as one to this database does.',
)
export const CANCEL_REFUSED = denial('cancel-refused', 403, 'The caller has no session that this would cancel.')
export const UNRECOGNIZED_NAME = denial('unrecognized-name', 421, 'Nobody is served here by that name.')
export const HTTP2_PROTOCOL = denial('http2-protocol', 400, 'The connection broke a rule of HTTP/2.')
export const HTTP2_FLOOD = denial('http2-flood', 429, 'The connection did too much of what HTTP/2 allows.')
export const CONNECTION_LIMIT = denial('connection-limit', 503, 'There are too many connections.')
export const UNDECLARED_PORT = denial('undeclared-port', 403, 'The workload declares no such port.')
export const NOT_CAPTURED = denial('not-captured', 403, 'This port is dialled by nobody: connections are led to it.')
export const FOREIGN_PROCESS = denial('foreign-process', 403, 'The caller is not a process of this workload.')

export const MESH_DENIALS: readonly Denial[] = [
  NOT_SERVING,
  NO_ROUTE,
  MISDIRECTED,
  BACKEND_UNRESOLVED,
  REQUEST_TIMEOUT,
  OVERLOADED,
  DECISION_TIMEOUT,
  NO_ENDPOINTS,
  UPSTREAM_CONNECT,
  UPSTREAM_OVERFLOW,
  UPSTREAM_RESET,
  UPSTREAM_PROTOCOL,
  UPSTREAM_TIMEOUT,
  GRPC_NEEDS_HTTP2,
  NO_WEBSOCKET,
  DEADLINE_EXCEEDED,
  UNWRITABLE_HEAD,
  PROXY_CREDENTIAL,
  OUTBOUND_UNKNOWN_HOST,
  OUTBOUND_HOST_MISMATCH,
  OUTBOUND_NOT_HTTP,
  OUTBOUND_NOT_PROXIED,
  OUTBOUND_FORBIDDEN_ADDRESS,
  OUTBOUND_UNKNOWN_ADDRESS,
  OUTBOUND_UNRESOLVED,
  PLAINTEXT_REFUSED,
  PEER_IDENTITY,
  WRONG_ALPN,
  HANDSHAKE_FAILED,
  CLIENT_HELLO,
  UNRECOGNIZED_NAME,
  HTTP2_PROTOCOL,
  HTTP2_FLOOD,
  CONNECTION_LIMIT,
  UNDECLARED_PORT,
  NOT_CAPTURED,
  FOREIGN_PROCESS,
]

/** What a client is told of an upstream that nobody could connect to. */
export function connectDenial({ reason }: ConnectError): Denial {
  if (reason === 'forbidden') return OUTBOUND_FORBIDDEN_ADDRESS
  return reason === 'unresolved' ? OUTBOUND_UNRESOLVED : UPSTREAM_CONNECT
}

/** The verdict of a site that has no route for a request: one for each denial, saying no allocates nothing. */
export function refusal(said: Denial, headers?: readonly HeaderPair[]): Deny {
  return Object.freeze({ kind: 'deny', denial: said, ...(headers === undefined ? {} : { headers }) })
}

/** A message that nobody may read: the problem's reason is the denial's name. Made once each. */
export function denialOf(found: Problem): Denial {
  const known = OF_PROBLEMS.get(found)
  if (known !== undefined) return known
  const made = denial(found.reason, found.status, 'The request is malformed.')
  OF_PROBLEMS.set(found, made)
  return made
}

/** Problems are frozen and few: one for each reason and sender. */
const OF_PROBLEMS = new Map<Problem, Denial>()

function denial(name: string, status: number, title: string): Denial {
  return Object.freeze({ name, status, title })
}
