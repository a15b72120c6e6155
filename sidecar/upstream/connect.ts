import { connect as connectPlain, isIP, type NetConnectOpts, type OnReadOpts, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { MESH_ALPN, type MeshAlpn } from '../../contract/alpn.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { PeerIdentity } from '../../model/x509/svid.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import { msUntilRetire } from '../identity/lifetime.ts'
import type { MeshConnections } from '../identity/mesh-connections.ts'
import { clientTlsOptions } from '../identity/tls-options.ts'
import { peerSpiffeId } from '../identity/trust.ts'
import type { Deadlines } from './deadlines.ts'
import { ForbiddenAddressError, forbidden, guardedLookup, isForbiddenLiteral, type OutsideTarget } from './outside.ts'

/** Where to connect to, and whom to expect there. */
export type Target = PlainTarget | UnixTarget | MeshTarget | OutsideTarget

export interface PlainTarget {
  readonly kind: 'plain'
  readonly host: string
  readonly port: number
  /** What it takes requests in, HTTP/2 with prior knowledge. Default HTTP/1.1. */
  readonly speaks?: 'http2' | undefined
}

export interface UnixTarget {
  readonly kind: 'unix'
  readonly path: string
  /** As a {@link PlainTarget}. */
  readonly speaks?: 'http2' | undefined
}

/** Another sidecar: mutual TLS, and it must prove one of `spiffeIds`. */
export interface MeshTarget {
  readonly kind: 'mesh'
  readonly host: string
  readonly port: number
  readonly spiffeIds: ReadonlySet<SpiffeId>
  readonly alpn: MeshAlpn
  /** What the application there takes, and so whoever is in front of it. Default: either version of HTTP. */
  readonly speaks?: 'http2' | undefined
  /** What is dialled in place of `host`: the sidecar's own way to its own pod. */
  readonly dialHost?: string
}

/** What every connection is made with. */
export interface ConnectDeps {
  readonly identity: IdentityStore
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** Milliseconds to connect, TLS included. */
  readonly connectMs: number
  /**
   * What every upstream socket reads into. One for all of them: libuv fills it and the callback has emptied it before the
   * next socket is read.
   */
  readonly readBuffer: Buffer
  /** Told of each connection to another sidecar, to cut it when the root of its peer is distrusted. */
  readonly meshConnections?: MeshConnections
}

export interface Connected {
  readonly socket: Socket
  readonly peer: PeerIdentity | undefined
  /** What was agreed upon with another sidecar. */
  readonly alpn?: MeshAlpn
  /** Milliseconds in which it may take new requests; infinite for plaintext. */
  readonly usableMs: number
}

/** Why nobody is at the other end. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  readonly reason: 'timeout' | 'unreachable' | 'identity' | 'forbidden' | 'unresolved'

  constructor(reason: ConnectError['reason'], message: string, cause?: Error) {
    super(message, cause === undefined ? undefined : { cause })
    this.reason = reason
  }
}

/** Seconds of silence after which the kernel asks whether the peer is still there (F15). */
const KEEP_ALIVE_PROBE_MS = 15_000

export interface ConnectOptions {
  readonly allowHalfOpen?: boolean
  /** Offers HTTP/2 to another sidecar, before what its target says; `Connected.alpn` tells which it took. */
  readonly preferHttp2?: boolean
}

/**
 * Connects, and calls `done` once. `onRead` gets what arrives from then on: a buffer that is only lent, and how much of it
 * is filled. The caller listens to `error` and `close` from `done` on.
 */
export function connect(
  target: Target,
  deps: ConnectDeps,
  onRead: (length: number, lent: Buffer) => void,
  done: (result: Connected | ConnectError) => void,
  { allowHalfOpen = false, preferHttp2 = false }: ConnectOptions = {},
): { abort(): void } {
  const onread: OnReadOpts = {
    buffer: deps.readBuffer,
    callback(length, lent) {
      onRead(length, lent as Buffer)
      return true
    },
  }
  const startedWith = deps.identity.current()
  const offered: MeshAlpn[] = target.kind === 'mesh' ? [target.alpn] : []
  if (preferHttp2) offered.unshift(MESH_ALPN.http2)
  let socket: Socket
  let settled = false
  let failure: Error | undefined

  const settle = (result: Connected | ConnectError) => {
    if (settled) return
    settled = true
    deps.deadlines.remove(deadline)
    socket.off('error', onError)
    socket.off('close', onClose)
    if (result instanceof ConnectError) {
      socket.on('error', ignore)
      socket.destroy()
    }
    done(result)
  }
  const deadline = deps.deadlines.create(() =>
    settle(new ConnectError('timeout', `no connection within ${deps.connectMs} ms`)),
  )
  const onError = (error: Error) => {
    failure = error
    settle(asConnectError(error))
  }
  const onClose = () => settle(asConnectError(failure ?? new Error('closed while connecting')))

  const onReady = () => {
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    if (target.kind !== 'mesh') return settle({ socket, peer: undefined, usableMs: Number.POSITIVE_INFINITY })
    const nowMs = deps.clock.now()
    const expected = {
      trustDomain: startedWith.trustDomain,
      role: 'server',
      spiffeIds: target.spiffeIds,
      nowMs,
    } as const
    const peer = peerSpiffeId(socket as TLSSocket, expected)
    if (!peer.ok) return settle(new ConnectError('identity', `peer identity refused: ${peer.reason}`))
    const alpn = offered.find((name) => name === (socket as TLSSocket).alpnProtocol)
    if (alpn === undefined) return settle(new ConnectError('identity', `the peer does not speak ${target.alpn}`))
    settle({ socket, peer, alpn, usableMs: msUntilRetire(startedWith.notAfterMs, peer.notAfterMs, nowMs) })
    deps.meshConnections?.add(socket as TLSSocket)
  }

  if (target.kind === 'mesh') {
    const options: ConnectionOptions & { onread: OnReadOpts; allowHalfOpen: boolean } = {
      ...clientTlsOptions(startedWith, target.spiffeIds, { alpn: offered, now: () => deps.clock.now() }),
      host: target.dialHost ?? target.host,
      port: target.port,
      allowHalfOpen,
      onread,
    }
    socket = connectTls(options, onReady)
  } else if (target.kind === 'outside' && target.tls === true) {
    const options: ConnectionOptions & { onread: OnReadOpts; allowHalfOpen: boolean } = {
      host: target.host,
      port: target.port,
      lookup: guardedLookup(target),
      // A literal has no name to ask for (RFC 6066, 3); the certificate is held to it all the same.
      ...(isIP(target.host) === 0 && { servername: target.host }),
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      allowHalfOpen,
      onread,
    }
    socket = connectTls(options, onReady)
  } else {
    socket = connectPlain({ ...addressOf(target), allowHalfOpen, onread }, onReady)
  }
  socket.on('error', onError)
  socket.on('close', onClose)
  if (target.kind === 'outside' && isForbiddenLiteral(target)) socket.destroy(forbidden(target.host))
  deps.deadlines.set(deadline, deps.connectMs)
  return { abort: () => settle(new ConnectError('unreachable', 'given up')) }
}

/** `address:port`, or the path of a Unix socket: for logs. */
export function describeTarget(target: Target): string {
  if (target.kind === 'unix') return target.path
  return target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`
}

function addressOf(target: Exclude<Target, MeshTarget>): NetConnectOpts {
  switch (target.kind) {
    case 'unix':
      return { path: target.path }
    case 'plain':
      return { host: target.host, port: target.port }
    case 'outside':
      return { host: target.host, port: target.port, lookup: guardedLookup(target) }
  }
}

function asConnectError(error: Error): ConnectError {
  if (error instanceof ForbiddenAddressError) return new ConnectError('forbidden', error.message, error)
  if ((error as NodeJS.ErrnoException).syscall === 'getaddrinfo') {
    return new ConnectError('unresolved', error.message, error)
  }
  const isIdentity = error.name === 'PeerIdentityError' || (error as NodeJS.ErrnoException).code?.startsWith('ERR_TLS')
  return new ConnectError(isIdentity ? 'identity' : 'unreachable', error.message, error)
}

function ignore(): void {}
