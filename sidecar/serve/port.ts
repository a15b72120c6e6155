import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls'
import type { Accepted, ConnectionTable } from './accepted.ts'
import { CONNECTION_LIMIT, HANDSHAKE_FAILED } from './denials.ts'
import type { Engine } from './engine.ts'
import type { Direction, Refusal } from './observation.ts'
import type { BindAddress } from './placement.ts'

/** Connections that the kernel keeps for us to accept. */
const BACKLOG = 511

/** The first byte of a TLS handshake record (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16

/** A listener that could not be bound: the message names the address. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly address: BindAddress

  constructor(address: BindAddress, cause: NodeJS.ErrnoException) {
    const where = address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
    super(`cannot listen on ${where}: ${cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message}`, { cause })
    this.address = address
  }
}

/** What a port is for, as connections to it are told of. */
export interface PortLabel {
  readonly direction: Direction
  readonly listener: string
}

/** A bound address. What comes in is counted, and handed to whoever serves it. */
export interface Port {
  readonly label: PortLabel
  /** Resolves with what was bound; rejects with a {@link ListenError}. */
  listen(): Promise<BindAddress>
  /** The pipeline has changed. */
  refresh?(): void
  /** Stops accepting. Connections that are open stay. */
  close(): void
}

/** Of several addresses, one whose family the machine does not have is left out, unless none is left then. */
export function createPort(
  engine: Engine,
  table: ConnectionTable,
  at: BindAddress | readonly BindAddress[],
  label: PortLabel,
  serve: (accepted: Accepted) => void,
): Port {
  const addresses = Array.isArray(at) ? (at as readonly BindAddress[]) : [at as BindAddress]
  const servers: Server[] = []
  let isClosed = false
  const accept = (socket: Socket): void => {
    const accepted = table.admit(socket, engine.clock.monotonic())
    if (accepted === undefined) {
      socket.destroy()
      tellRefused(engine, label, socket, CONNECTION_LIMIT.name)
      return
    }
    socket.on('error', ignore)
    guard(engine, socket, () => serve(accepted))
  }
  const ipv6Only = addresses.length > 1
  const ports = engine.sharing?.ports
  const open = async (address: BindAddress): Promise<BindAddress> => {
    const name = `${label.direction} ${label.listener} ${address.host}:${address.port}`
    if (ports === undefined) return listen(name, address)
    const resolved = await ports.resolve(name, address, ipv6Only).catch((error: NodeJS.ErrnoException) => {
      throw new ListenError(address, error)
    })
    // It may have been closed in the meantime.
    if (isClosed) throw new ListenError(address, new Error('the port was closed'))
    return listen(name, resolved)
  }
  const listen = (name: string, address: BindAddress): Promise<BindAddress> => {
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 15_000,
    })
    servers.push(server)
    server.on('connection', accept)
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(new ListenError(address, error))
      server.once('error', fail)
      const { host, port } = address
      server.listen({ host, port, backlog: BACKLOG, ipv6Only, reusePort: ports !== undefined }, () => {
        server.off('error', fail)
        // EMFILE and its like: the kernel's queue is emptied by libuv, and nobody dies of it (F17).
        server.on('error', (err) => engine.log.warn('listener failed to accept', { err }))
        const found = server.address()
        const bound = typeof found === 'object' && found !== null ? { host: found.address, port: found.port } : address
        ports?.bound(name, bound)
        resolve(bound)
      })
    })
  }
  return {
    label,
    async listen() {
      const outcomes = await Promise.allSettled(addresses.map(open))
      const bound = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
      const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
      const [first] = bound
      const [failure] = first === undefined ? failures : failures.filter((reason) => !isWithoutFamily(reason))
      if (first === undefined || failure !== undefined) throw failure
      return first
    },
    close() {
      isClosed = true
      for (const server of servers) server.close()
    },
  }
}

/** Whether nobody could listen there: IPv6 is switched off, or the other way round. */
function isWithoutFamily(reason: unknown): boolean {
  const cause = reason instanceof ListenError ? (reason.cause as NodeJS.ErrnoException) : undefined
  return cause?.code === 'EAFNOSUPPORT' || cause?.code === 'EADDRNOTAVAIL'
}

/** Shakes hands on accepted connections of one port. */
export interface Handshaker {
  /** Set on each renewal; connections that are open keep what they were made with. */
  readonly server: TlsServer
  /** `done` is called once, only if the handshake succeeds. */
  handshake(accepted: Accepted, done: (socket: TLSSocket) => void): void
}

/** A TLS server that does not listen: it is handed connections. */
export function createHandshaker(engine: Engine, label: PortLabel, options: TlsOptions): Handshaker {
  const server = createTlsServer({ ...options, handshakeTimeout: engine.limits.headMs })
  /** By the client's address and port. As many as there are handshakes, which the connection table bounds. */
  const waiting = new Map<string, (socket: TLSSocket) => void>()
  server.on('secureConnection', (socket) => {
    const key = endOf(socket)
    const done = waiting.get(key)
    waiting.delete(key)
    if (done === undefined) return void socket.destroy()
    socket.on('error', ignore)
    guard(engine, socket, () => done(socket))
  })
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    socket.destroy()
    // A certificate that is not accepted ends as a reset; which fault it had (a code, whatever the types say) stands here.
    const fault = socket.authorizationError as unknown as string | null | undefined
    tellRefused(engine, label, socket, HANDSHAKE_FAILED.name, fault ?? error.code ?? error.message)
  })
  return {
    server,
    handshake({ socket }, done) {
      const key = endOf(socket)
      waiting.set(key, done)
      // The same address and port may have come again before this was told of.
      socket.once('close', () => {
        if (waiting.get(key) === done) waiting.delete(key)
      })
      server.emit('connection', socket)
    },
  }
}

/**
 * Looks at the first byte and puts it back. `done` is called once, unless the client goes before it has sent one or takes
 * longer than `waitMs`: then it is called with undefined.
 */
export function sniff(
  engine: Engine,
  { socket }: Accepted,
  waitMs: number,
  done: (looksLike: 'tls' | 'plaintext' | undefined) => void,
): void {
  const settle = (looksLike: 'tls' | 'plaintext' | undefined) => {
    engine.deadlines.remove(deadline)
    socket.off('data', onData)
    socket.off('end', onGone)
    socket.off('close', onGone)
    socket.pause()
    guard(engine, socket, () => done(looksLike))
  }
  const onData = (chunk: Buffer) => {
    socket.pause()
    socket.unshift(chunk)
    settle(chunk[0] === TLS_HANDSHAKE ? 'tls' : 'plaintext')
  }
  const onGone = () => {
    engine.deadlines.remove(deadline)
    socket.destroy()
  }
  const deadline = engine.deadlines.create(() => settle(undefined))
  engine.deadlines.set(deadline, waitMs)
  socket.once('data', onData)
  socket.once('end', onGone)
  socket.once('close', onGone)
}

/** A mistake of ours ends this connection and no other. */
export function guard(engine: Engine, socket: Socket, run: () => void): void {
  try {
    run()
  } catch (err) {
    engine.log.error('connection failed in the proxy', { err })
    socket.destroy()
  }
}

/** Tells of a connection that was closed before it was used. */
export function tellRefused(
  engine: Engine,
  { direction, listener }: PortLabel,
  socket: Pick<Socket, 'remoteAddress'>,
  denial: string,
  detail?: string,
): void {
  const refusal: Refusal = { denial, filter: undefined, rule: undefined, origins: [], detail }
  engine.observer.connection({
    timeMs: engine.clock.now(),
    durationMs: 0,
    decisionId: engine.newId(),
    direction,
    listener,
    spiffeId: undefined,
    clientIp: socket.remoteAddress ?? '',
    upstream: '',
    endpoint: undefined,
    outcome: 'denied',
    refusal,
    rule: undefined,
    wouldDeny: undefined,
    bytesIn: 0,
    bytesOut: 0,
    plaintext: false,
  })
}

/** The other end. Unique among the open connections of one port. */
function endOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`
}

function ignore(): void {}
