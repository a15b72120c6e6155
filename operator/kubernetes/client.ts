import type { Log } from '../../runtime/log.ts'

/** One request to the API server. */
export interface KubernetesRequest {
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From the root, escaped: see `resourcePath`. */
  readonly path: string
  /** What is undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Default `application/json`. */
  readonly contentType?: string
  /** Ends the request; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for the whole request, from its start to the last byte of the answer. Default 30,000. */
  readonly timeoutMs?: number
}

/** A request whose answer is a stream of lines that may go on for long. */
export interface KubernetesStreamRequest extends Omit<KubernetesRequest, 'timeoutMs'> {
  /** Milliseconds until the head of the answer. Default 30,000. */
  readonly headTimeoutMs?: number
  /** Milliseconds without a byte after which the connection counts as dead. Default 90,000. */
  readonly idleTimeoutMs?: number
}

/** What talks to one API server, over keep-alive connections. */
export interface KubernetesClient {
  /** The base URL, for messages. */
  readonly server: string
  /** The namespace of the kubeconfig's context, or of the pod; undefined when there is none. */
  readonly namespace: string | undefined
  /**
   * Resolves with the parsed body (at most 64 MiB; undefined for an empty one) of a 2xx answer.
   *
   * Rejects with a {@link KubernetesError} for every other answer and for every failure on the way, and with the
   * signal's reason when that ended it. Nothing is tried again. `T` is what the caller expects; nothing checks it.
   */
  request<T = unknown>(request: KubernetesRequest): Promise<T>
  /**
   * Calls `onLines` with the complete lines of each chunk that comes, without their ends and without empty ones, and
   * resolves when the server ends the stream. Rejects as `request` does; a line is at most 8 MiB.
   */
  stream(request: KubernetesStreamRequest, onLines: (lines: readonly string[]) => void): Promise<void>
  /** Closes idle connections and ends requests in flight. */
  close(): void
}

/** Where the API server is, and who asks. */
export type ClientConfig =
  /** As kubectl finds it: `$KUBECONFIG`, `~/.kube/config`, else the service account of the pod. */
  | { readonly from: 'default'; readonly context?: string | undefined }
  /** One kubeconfig file. */
  | { readonly from: 'kubeconfig'; readonly path: string; readonly context?: string | undefined }
  /** The service account of the pod; its token is read again every minute, its CA with each new connection. */
  | { readonly from: 'in-cluster' }
  /** The text of a kubeconfig: for tests. */
  | { readonly from: 'text'; readonly text: string; readonly context?: string | undefined }

export interface ClientOptions {
  readonly config: ClientConfig
  /** `User-Agent`; `hauberk-operator/0.1.0`. */
  readonly userAgent: string
  readonly log?: Log
  /** Connections at once that are no streams; more requests wait. Default 16. */
  readonly maxConnections?: number
}

/** Opens a client. Nothing is sent. Throws a `KubernetesError` (`Unauthenticated`) for a kubeconfig that cannot be used. */
export declare function openClient(options: ClientOptions): KubernetesClient
