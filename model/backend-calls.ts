import type { HeaderPair } from './verdict.ts'

/**
 * Asks other services on a filter's behalf: over the connections that the sidecar has to its upstreams anyway, mutual TLS
 * where a workload of the mesh answers, verified HTTPS to the outside.
 */
export interface BackendCalls {
  /**
   * Sends one request to an upstream of the config and resolves with the whole answer, or with why there is none. Never
   * rejects. How many are under way at once is bounded; what would be one more fails with `overloaded`.
   *
   * `signal` gives the call up: whoever asked has gone.
   */
  call(upstream: string, request: BackendRequest, signal?: AbortSignal): Promise<BackendResponse | CallFailure>
}

export interface BackendRequest {
  readonly method: string
  /** Path and query, written as they are. Starts with `/`. */
  readonly path: string
  /** What `Host` says. Default: the upstream's own name. */
  readonly authority?: string
  /** Names in lower case. Framing and hop-by-hop fields are the sidecar's own concern and left out. */
  readonly headers: readonly HeaderPair[]
  /** At most 1 MiB. */
  readonly body?: Uint8Array
  /** Milliseconds from now to the last byte of the answer, connecting included. */
  readonly timeoutMs: number
  /** Bytes of the answer's body; a longer one fails with `too-large`. */
  readonly maxResponseBytes: number
}

export interface BackendResponse {
  readonly kind: 'response'
  /** 200..599. */
  readonly status: number
  /** Names in lower case, in the order received. */
  readonly headers: readonly HeaderPair[]
  readonly body: Uint8Array
  /** What came behind the body; only HTTP/2 carries any. */
  readonly trailers: readonly HeaderPair[]
}

/** Why there is no answer. None of it says anything of what was asked. */
export interface CallFailure {
  readonly kind: 'failure'
  /**
   * `no-upstream`: it has no endpoint. `unreachable`: nobody there, or nobody who could prove who it is. `timeout`: not within
   * the time given. `overloaded`: too many calls under way. `reset`: it broke off. `protocol`: what came is no answer.
   * `too-large`: it is longer than was allowed. `abandoned`: whoever asked has gone.
   */
  readonly reason: CallFailureReason
  /** For the log. Holds nothing of the request or the answer. */
  readonly detail: string
}

export type CallFailureReason =
  | 'no-upstream'
  | 'unreachable'
  | 'timeout'
  | 'overloaded'
  | 'reset'
  | 'protocol'
  | 'too-large'
  | 'abandoned'

/** A port of a Service. */
export interface ServiceReference {
  readonly name: string
  readonly namespace?: string
  readonly port: number
  /** `tcp`: one whose bytes are carried as they are. Default: one that speaks HTTP. */
  readonly protocol?: 'tcp'
}

/** A service that a policy names: a port of a Service, or a host outside the mesh that the egress list names. */
export type BackendReference = ServiceReference | { readonly host: string; readonly port: number }

/** The upstream that a reference leads to. The workload's config has it from then on. */
export interface UpstreamReference {
  /** As {@link BackendCalls} knows it. */
  readonly upstream: string
  /** What `Host` is to say there. */
  readonly authority: string
  /** Whether requests go there in HTTP/2 whoever asks, which gRPC needs. */
  readonly speaksHttp2: boolean
}
