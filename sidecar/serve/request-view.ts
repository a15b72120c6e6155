import type { Peer, PostgresOpening, RequestView } from '../../model/request.ts'
import { isIdentityHeader } from './forwarded.ts'
import type { RequestHead } from './http1/message.ts'

/** Where the body of a request comes from. */
export interface BodySource {
  /** As `RequestView.body`. */
  readBody(maxBytes: number): Promise<Uint8Array | undefined>
}

/** A request on its way through, as checks see it. Header strings are made when a check asks for them. */
export class HttpRequestView implements RequestView {
  readonly protocol = 'http'
  readonly method: string
  readonly path: string
  readonly query: string
  readonly host: string
  readonly port: number
  readonly scheme: 'http' | 'https'
  readonly peer: Peer
  readonly clientIp: string
  readonly traceId: string | undefined
  readonly #head: RequestHead
  readonly #source: BodySource | undefined
  #onAbandoned: Set<() => void> | undefined
  #onEnd: (() => void)[] | undefined
  #isOver = false

  constructor(
    head: RequestHead,
    peer: Peer,
    port: number,
    scheme: 'http' | 'https',
    clientIp: string,
    traceId?: string,
    source?: BodySource,
  ) {
    this.method = head.method
    this.path = head.path
    this.query = head.query
    this.host = head.host
    this.port = port
    this.scheme = scheme
    this.peer = peer
    this.clientIp = clientIp
    this.traceId = traceId
    this.#head = head
    this.#source = source
  }

  get authority(): string {
    return this.#head.authority
  }

  header(name: string): string | undefined {
    return isIdentityHeader(name) ? undefined : this.#head.headers.get(name)
  }

  headers(name: string): readonly string[] {
    return isIdentityHeader(name) ? NONE : this.#head.headers.all(name)
  }

  onAbandoned(listener: () => void): () => void {
    this.#onAbandoned ??= new Set()
    const listeners = this.#onAbandoned
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  onEnd(listener: () => void): void {
    // Who judges a tunnel again judges the request that it began with.
    if (this.#isOver) return listener()
    this.#onEnd ??= []
    this.#onEnd.push(listener)
  }

  body(maxBytes: number): Promise<Uint8Array | undefined> {
    return this.#source === undefined ? Promise.resolve(undefined) : this.#source.readBody(maxBytes)
  }

  /** The request is over, and whoever still judges it need not. */
  end(): void {
    this.#isOver = true
    const listeners = this.#onAbandoned
    if (listeners !== undefined) {
      this.#onAbandoned = undefined
      for (const listener of listeners) listener()
    }
    if (this.#onEnd !== undefined) for (const listener of this.#onEnd) listener()
  }
}

/** A connection of an opaque TCP port, as checks see it; `postgres`: where its beginning was read. */
export function tcpRequestView(peer: Peer, port: number, postgres?: PostgresOpening): RequestView {
  return {
    protocol: 'tcp',
    method: '',
    path: '',
    query: '',
    host: '',
    port,
    scheme: 'http',
    peer,
    clientIp: peer.ip,
    ...(postgres && { postgres }),
    header: () => undefined,
    headers: () => NONE,
  }
}

const NONE: readonly string[] = Object.freeze([])
