import type { Socket } from 'node:net'
import type { Facts } from '../../model/request.ts'
import { type Decision, decide } from '../compile/decide.ts'
import type { Chain } from '../compile/pipeline.ts'
import { ConnectError, type Connected, connect, describeTarget, type Target } from '../upstream/connect.ts'
import { UpstreamConnection } from '../upstream/connection.ts'
import type { Accepted, Served } from './accepted.ts'
import type { Client } from './client.ts'
import { NOT_SERVING, PLAINTEXT_REFUSED, UPSTREAM_CONNECT } from './denials.ts'
import type { Engine } from './engine.ts'
import { refusalBy } from './exchange.ts'
import { closeAtExpiry } from './expiry.ts'
import type { ConnectionRecord, Refusal } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import type { PortLabel } from './port.ts'
import { tcpRequestView } from './request-view.ts'
import { SocketBytes } from './socket-bytes.ts'
import { startTunnel, type TunnelAbout } from './tunnel.ts'

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

function judgeAgain({ client, containerPort }: InboundTcpConnection): Judged['again'] {
  return (pipeline) => {
    const inbound = pipeline.inbound.get(containerPort)
    const { peer } = client
    if (inbound === undefined || inbound.listener.protocol !== 'tcp') return refusalOf(NOT_SERVING.name)
    if (inbound.listener.mtls === 'Strict' && peer.spiffeId === undefined) return refusalOf(PLAINTEXT_REFUSED.name)
    // What counts connections has counted this one.
    const chain: Chain = { enforced: inbound.tcp.enforced.filter(({ filter }) => filter.repeatable) }
    const decided = decide(chain, tcpRequestView(peer, containerPort), {})
    const refusalIn = ({ verdict, step }: Decision) => (verdict.kind === 'deny' ? refusalBy(verdict, step) : undefined)
    return 'then' in decided ? decided.then(refusalIn) : refusalIn(decided)
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

/**
 * Connects to the first of `targets` that takes it, and lets bytes pass both ways from then on. The client is not read
 * before that; if nobody takes it, it is closed without a byte.
 */
export function joinWith(
  engine: Engine,
  accepted: Accepted,
  socket: Socket,
  targets: readonly Target[],
  about: TunnelAbout,
  judged: Judged,
): void {
  accepted.served = OPEN_TO_THE_END
  socket.pause()
  const attempt = (index: number): void => {
    const target = targets[index]!
    const { abort } = dial(engine, socket, target, (result) => {
      socket.off('close', abort)
      if (result instanceof UpstreamConnection) {
        const tunnel = startTunnel(engine, new SocketBytes(socket), result, {
          ...about,
          endpoint: describeTarget(target),
        })
        engine.tunnels.add(tunnel, judged)
        socket.resume()
      } else if (socket.destroyed) {
        tellClosed(engine, about, 'failed', undefined)
      } else if (index + 1 < targets.length) {
        attempt(index + 1)
      } else {
        const refusal = refusalOf(UPSTREAM_CONNECT.name, `${result.reason}: ${result.message}`)
        tellClosed(engine, { ...about, endpoint: describeTarget(target) }, 'failed', refusal)
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
  target: Target,
  done: (result: UpstreamConnection | ConnectError) => void,
): { abort(): void } {
  let made: UpstreamConnection | undefined
  const onConnected = (result: Connected | ConnectError) => {
    try {
      if (result instanceof ConnectError) return done(result)
      made = new UpstreamConnection(result, Number.POSITIVE_INFINITY, NO_POOL)
      done(made)
    } catch (err) {
      engine.log.error('connection failed in the proxy', { err })
      made?.destroy()
      client.destroy()
    }
  }
  const onRead = (length: number, lent: Buffer) => made?.onRead(length, lent)
  return connect(target, engine.poolDeps, onRead, onConnected, { allowHalfOpen: true })
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

function settle<T extends object | undefined>(value: T | Promise<T>, then: (value: T) => void): void {
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
