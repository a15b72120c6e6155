import type { Socket } from 'node:net'
import type { Facts, PostgresOpening } from '../../model/request.ts'
import { decide } from '../compile/decide.ts'
import { ConnectError, type Connected, connect, describeTarget, type Target } from '../upstream/connect.ts'
import { UpstreamConnection } from '../upstream/connection.ts'
import { EndpointPool, PoolFullError } from '../upstream/pool.ts'
import type { Accepted, Served } from './accepted.ts'
import type { Client } from './client.ts'
import { NOT_SERVING, PLAINTEXT_REFUSED, UPSTREAM_CONNECT, UPSTREAM_OVERFLOW } from './denials.ts'
import type { Engine } from './engine.ts'
import { closeAtExpiry } from './expiry.ts'
import { judgeConnectionAgain } from './judge-again.ts'
import type { ConnectionRecord, Refusal } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import type { PortLabel } from './port.ts'
import { refusalBy } from './refusal.ts'
import { tcpRequestView } from './request-view.ts'
import { SocketBytes } from './socket-bytes.ts'
import { startTunnel, type Tunnel, type TunnelAbout } from './tunnel.ts'

/** A connection to an opaque TCP port of the workload. */
export interface InboundTcpConnection {
  readonly accepted: Accepted
  readonly socket: Socket
  readonly client: Client
  readonly label: PortLabel
  readonly containerPort: number
  /** The application. */
  readonly app: Target
}

/** `opening`: what was read of the connection's beginning, if anything was. */
export function judgeAgain(
  { client, containerPort }: InboundTcpConnection,
  opening: () => PostgresOpening | undefined = () => undefined,
): Judged['again'] {
  return (pipeline) => {
    const inbound = pipeline.inbound.get(containerPort)
    const { peer } = client
    if (inbound === undefined || inbound.listener.protocol !== 'tcp') return refusalOf(NOT_SERVING.name)
    if (inbound.listener.mtls === 'Strict' && peer.spiffeId === undefined) return refusalOf(PLAINTEXT_REFUSED.name)
    return judgeConnectionAgain(inbound.tcp, tcpRequestView(peer, containerPort, opening()))
  }
}

/** Judges a connection once, and joins it with the application. */
export function serveInboundTcp(engine: Engine, connection: InboundTcpConnection): void {
  const { accepted, socket, client, label, containerPort, app } = connection
  const pipeline = engine.pipeline()
  const chain = pipeline?.inbound.get(containerPort)?.tcp
  if (pipeline === undefined || chain === undefined) return void socket.destroy()
  const judged: Judged = { by: pipeline, again: judgeAgain(connection) }
  const facts: Facts = {}
  closeAtExpiry(engine, client, socket, () => true)
  settle(decide(chain, tcpRequestView(client.peer, containerPort), facts), ({ verdict, step, wouldDeny }) => {
    const about: TunnelAbout = {
      decisionId: engine.newId(),
      ...label,
      spiffeId: client.peer.spiffeId,
      clientIp: client.peer.ip,
      upstream: 'app',
      endpoint: describeTarget(app),
      refusal: undefined,
      rule: facts.rule,
      wouldDeny: wouldDeny === undefined ? undefined : refusalBy(wouldDeny.verdict, wouldDeny.step),
    }
    if (socket.destroyed) return
    if (verdict.kind === 'deny') {
      tellClosed(engine, about, 'denied', refusalBy(verdict, step))
      return void socket.destroy()
    }
    joinWith(engine, accepted, socket, [app], about, judged)
  })
}

/** Where a tunnel may lead: an endpoint of an upstream, whose connections are counted and whose health is kept, or any other place. */
export type Way = Target | EndpointPool

/**
 * Connects to the first of `ways` that takes it, and lets bytes pass both ways from then on. The client is not read
 * before that; if nobody takes it, it is closed without a byte. `joined` is called before a byte has passed.
 */
export function joinWith(
  engine: Engine,
  accepted: Accepted,
  socket: Socket,
  ways: readonly Way[],
  about: TunnelAbout,
  judged: Judged,
  joined?: (tunnel: Tunnel) => void,
): void {
  accepted.served = OPEN_TO_THE_END
  socket.pause()
  const attempt = (index: number): void => {
    const way = ways[index]!
    const { abort } = dial(engine, socket, way, (result) => {
      socket.off('close', abort)
      if (result instanceof UpstreamConnection) {
        const tunnel = startTunnel(engine, new SocketBytes(socket), result, {
          ...about,
          endpoint: describeWay(way),
        })
        engine.tunnels.add(tunnel, judged)
        if (!socket.destroyed) joined?.(tunnel)
        socket.resume()
      } else if (socket.destroyed) {
        tellClosed(engine, about, 'failed', undefined)
      } else if (index + 1 < ways.length && !(result instanceof PoolFullError)) {
        attempt(index + 1)
      } else {
        if (result instanceof PoolFullError) engine.upstreams.events.overflowed(about.upstream, 'connections')
        const refusal =
          result instanceof PoolFullError
            ? refusalOf(UPSTREAM_OVERFLOW.name, result.message)
            : refusalOf(UPSTREAM_CONNECT.name, `${result.reason}: ${result.message}`)
        tellClosed(engine, { ...about, endpoint: describeWay(way) }, 'failed', refusal)
        socket.destroy()
      }
    })
    socket.once('close', abort)
  }
  attempt(0)
}

/** One connection for one tunnel with `client`: no pool keeps it. */
export function dial(
  engine: Engine,
  client: { destroy(): void },
  way: Way,
  done: (result: UpstreamConnection | ConnectError | PoolFullError) => void,
): { abort(): void } {
  let made: UpstreamConnection | undefined
  const onDialled = (result: UpstreamConnection | ConnectError | PoolFullError) => {
    try {
      if (result instanceof UpstreamConnection) made = result
      done(result)
    } catch (err) {
      engine.log.error('connection failed in the proxy', { err })
      made?.destroy()
      client.destroy()
    }
  }
  if (way instanceof EndpointPool) return dialEndpoint(engine, way, onDialled)
  const onConnected = (result: Connected | ConnectError) =>
    onDialled(
      result instanceof ConnectError ? result : new UpstreamConnection(result, Number.POSITIVE_INFINITY, NO_POOL),
    )
  const onRead = (length: number, lent: Buffer) => made?.onRead(length, lent)
  return connect(way, engine.poolDeps, onRead, onConnected, { allowHalfOpen: true })
}

export function describeWay(way: Way): string {
  return way instanceof EndpointPool ? way.label : describeTarget(way)
}

function dialEndpoint(
  { clock }: Engine,
  pool: EndpointPool,
  done: (result: UpstreamConnection | ConnectError | PoolFullError) => void,
): { abort(): void } {
  let isGivenUp = false
  const { abort } = pool.open(
    (result) => {
      if (result instanceof UpstreamConnection) pool.health.succeed(clock.monotonic())
      else if (result instanceof ConnectError && !isGivenUp) pool.health.fail(clock.monotonic())
      done(result)
    },
    { allowHalfOpen: true },
  )
  return {
    abort() {
      isGivenUp = true
      abort()
    },
  }
}

/** Tells of a connection that never became a tunnel. */
export function tellClosed(
  engine: Engine,
  about: TunnelAbout,
  outcome: ConnectionRecord['outcome'],
  refusal: Refusal | undefined,
): void {
  const timeMs = engine.clock.now()
  engine.observer.connection({
    ...about,
    timeMs,
    durationMs: 0,
    outcome,
    refusal,
    bytesIn: 0,
    bytesOut: 0,
    plaintext: false,
  })
}

export function refusalOf(denial: string, detail?: string): Refusal {
  return { denial, filter: undefined, rule: undefined, origins: [], detail }
}

/** Goes on with a decision, at once where there is one. */
export function settle<T extends object | undefined>(value: T | Promise<T>, then: (value: T) => void): void {
  if (value instanceof Promise) void value.then(then)
  else then(value)
}

/** A stream of bytes has no end that could be waited for. */
const OPEN_TO_THE_END: Served = { idleSinceMs: undefined, headSinceMs: undefined, drain() {} }

const NO_POOL = {
  onIdleData(connection: UpstreamConnection): void {
    connection.destroy()
  },
  onClosed(): void {},
}
