import type { StreamListener } from '../../contract/workload-config.ts'
import type { Facts } from '../../model/request.ts'
import { decide } from '../compile/decide.ts'
import type { CompiledStreamRoute, Pipeline, StreamPipeline } from '../compile/pipeline.ts'
import type { ServingCertificates } from '../identity/serving-certificates.ts'
import { gatewayTlsOptions } from '../identity/tls-options.ts'
import type { Accepted, ConnectionTable } from './accepted.ts'
import { backendPicker } from './backend-picker.ts'
import { createCertificateChooser, NO_CERTIFICATE } from './certificate-chooser.ts'
import { type Client, outsideClient } from './client.ts'
import { BACKEND_UNRESOLVED, CLIENT_HELLO, NO_ENDPOINTS, NO_ROUTE, NOT_SERVING, UNRECOGNIZED_NAME } from './denials.ts'
import type { Engine } from './engine.ts'
import { type GatewayGroup, groupLabel, matchLength } from './gateway.ts'
import { judgeConnectionAgain } from './judge-again.ts'
import type { Refusal } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import { createPort, type Port, type PortLabel, tellRefused } from './port.ts'
import { ALERT, alertAndClose, type Greeting, readHello } from './read-hello.ts'
import { refusalBy } from './refusal.ts'
import { tcpRequestView } from './request-view.ts'
import { joinWith, refusalOf, settle, tellClosed } from './tcp.ts'
import { createTerminator } from './terminator.ts'
import type { TunnelAbout } from './tunnel.ts'

export interface StreamDeps {
  /** The listeners that the group has by now. */
  listenersOf(group: GatewayGroup, pipeline: Pipeline): readonly string[]
  readonly certificates: Pick<ServingCertificates, 'get' | 'onChange'> | undefined
}

/**
 * A port of a Gateway whose connections are carried as bytes: for TCP all to one route, for TLS by the name that the client asks
 * for. TLS that is passed through is not ended here: the client sees the certificate of whom it is led to, and no other.
 */
export function createStreamPort(
  engine: Engine,
  table: ConnectionTable,
  group: GatewayGroup,
  { listenersOf, certificates }: StreamDeps,
): Port {
  const label = groupLabel(engine, group, listenersOf)
  const present = (pipeline: Pipeline): readonly StreamPipeline[] =>
    listenersOf(group, pipeline)
      .flatMap((name) => pipeline.streams.get(name) ?? [])
      .filter(({ listener }) => listener.protocol === group.protocol)

  const serveTcp = (accepted: Accepted): void => {
    const pipeline = engine.pipeline()
    const [stream] = pipeline === undefined ? [] : present(pipeline)
    if (stream === undefined) return refuse(engine, label, accepted, NOT_SERVING.name)
    carry(engine, { accepted, socket: accepted.socket, listener: stream.listener, serverName: undefined })
  }
  if (group.protocol === 'tcp') return createPort(engine, table, group.bind, label, serveTcp)

  const chooser = createCertificateChooser(certificates, engine.log)
  const certificateFor = (written: string | undefined) => {
    const serverName = written?.toLowerCase()
    const pipeline = engine.pipeline()
    const stream = pipeline && listenerFor(present(pipeline), serverName)
    return stream && chooser.choose(stream.listener.certificates, serverName)
  }
  // What is inside is nobody's concern here: no protocol is agreed on for whoever speaks it.
  const { ALPNProtocols: _, ...options } = gatewayTlsOptions(NO_CERTIFICATE)
  const terminator = createTerminator(engine, label, { options, certificateFor, certificates })

  const serveTls = (accepted: Accepted, greeting: Greeting): void => {
    if (greeting.kind === 'refused') return refuseHello(engine, label, accepted, greeting.reason)
    const { serverName } = greeting
    const pipeline = engine.pipeline()
    if (pipeline === undefined) return refuse(engine, label, accepted, NOT_SERVING.name)
    const stream = listenerFor(present(pipeline), serverName)
    if (stream?.route(serverName) === undefined) {
      const at = stream === undefined ? label : labelOf(stream.listener)
      tellRefused(engine, at, accepted.socket, UNRECOGNIZED_NAME.name, serverName ?? NAMELESS)
      return alertAndClose(engine, accepted, ALERT.unrecognizedName)
    }
    const { listener } = stream
    if (listener.mode !== 'terminate') return carry(engine, { accepted, socket: accepted.socket, listener, serverName })
    terminator.handshake(accepted, (socket) => carry(engine, { accepted, socket, listener, serverName }))
  }
  const port = createPort(engine, table, group.bind, label, (accepted) =>
    readHello(engine, accepted, (greeting) => serveTls(accepted, greeting)),
  )
  return {
    ...port,
    refresh: terminator.refresh,
    close() {
      port.close()
      terminator.close()
    },
  }
}

const NAMELESS = 'no server name'

/** The listener that a name is for: the exact one, else the longest wildcard, else the one for every name. */
export function listenerFor(
  streams: readonly StreamPipeline[],
  serverName: string | undefined,
): StreamPipeline | undefined {
  let best: StreamPipeline | undefined
  let bestLength = -1
  for (const stream of streams) {
    const { hostname } = stream.listener
    const length = serverName === undefined ? (hostname === undefined ? 0 : -1) : matchLength(hostname, serverName)
    if (length <= bestLength) continue
    best = stream
    bestLength = length
  }
  return best
}

/** A connection whose listener is known. */
interface StreamConnection {
  readonly accepted: Accepted
  /** The bytes to be carried: the client's own, or those inside of its TLS. */
  readonly socket: Accepted['socket']
  readonly listener: StreamListener
  readonly serverName: string | undefined
}

/** Judges a connection once, and joins it with an endpoint of the backend whose turn it is. */
function carry(engine: Engine, connection: StreamConnection): void {
  const { accepted, socket, listener, serverName } = connection
  const pipeline = engine.pipeline()
  const route = pipeline?.streams.get(listener.name)?.route(serverName)
  const label = labelOf(listener)
  // Whatever it was when the client said hello: the newest config decides.
  if (pipeline === undefined || route === undefined) {
    tellRefused(engine, label, socket, withoutRoute(listener))
    return void socket.destroy()
  }
  const client = outsideClient(socket.remoteAddress)
  const facts: Facts = {}
  settle(decide(route.chain, tcpRequestView(client.peer, listener.port), facts), ({ verdict, step, wouldDeny }) => {
    const upstream = verdict.kind === 'deny' ? '' : nextBackend(route)
    const about: TunnelAbout = {
      decisionId: engine.newId(),
      ...label,
      spiffeId: undefined,
      clientIp: client.peer.ip,
      upstream,
      endpoint: undefined,
      refusal: undefined,
      rule: facts.rule,
      wouldDeny: wouldDeny === undefined ? undefined : refusalBy(wouldDeny.verdict, wouldDeny.step),
    }
    if (socket.destroyed) return
    const fail = (outcome: 'denied' | 'failed', refusal: Refusal) => {
      tellClosed(engine, about, outcome, refusal)
      socket.destroy()
    }
    if (verdict.kind === 'deny') return fail('denied', refusalBy(verdict, step))
    if (upstream === '') return fail('failed', refusalOf(BACKEND_UNRESOLVED.name, route.id))
    engine.upstreams.update(pipeline.config, engine.endpoints())
    const group = engine.upstreams.get(upstream)
    const nowMs = engine.clock.monotonic()
    const first = group?.pick(nowMs)
    if (first === undefined) return fail('failed', refusalOf(NO_ENDPOINTS.name))
    const second = group?.pick(nowMs, first)
    const again = judgeAgain(connection, client, upstream)
    const ways = second === undefined ? [first] : [first, second]
    joinWith(engine, accepted, socket, ways, about, { by: pipeline, again })
  })
}

/** A tunnel stays while its route leads to the same backend, and its policies let its client in. */
function judgeAgain({ listener, serverName }: StreamConnection, { peer }: Client, upstream: string): Judged['again'] {
  return (pipeline) => {
    const stream = pipeline.streams.get(listener.name)
    if (stream === undefined || stream.listener.mode !== listener.mode) return refusalOf(NOT_SERVING.name)
    const route = stream.route(serverName)
    if (route === undefined) return refusalOf(withoutRoute(listener))
    // With a weight of 0 it gets nobody new, and keeps whom it has.
    if (!route.config.backends.some((backend) => backend.upstream === upstream)) {
      return refusalOf(NOT_SERVING.name, `${route.id} does not lead to ${upstream}`)
    }
    return judgeConnectionAgain(route.chain, tcpRequestView(peer, stream.listener.port))
  }
}

/** Turns last as long as the pipeline that the route is of. */
const turns = new WeakMap<CompiledStreamRoute, () => string>()

function nextBackend(route: CompiledStreamRoute): string {
  const next = turns.get(route) ?? backendPicker(route.config.backends)
  turns.set(route, next)
  return next()
}

function withoutRoute({ protocol }: StreamListener): string {
  return protocol === 'tcp' ? NO_ROUTE.name : UNRECOGNIZED_NAME.name
}

function labelOf({ name }: StreamListener): PortLabel {
  return { direction: 'gateway', listener: name }
}

/** Only who speaks TLS is told why, and nobody who is slow. */
function refuseHello(
  engine: Engine,
  label: PortLabel,
  accepted: Accepted,
  reason: Extract<Greeting, { kind: 'refused' }>['reason'],
): void {
  tellRefused(engine, label, accepted.socket, CLIENT_HELLO.name, reason)
  if (reason === 'not-tls' || reason === 'timeout') accepted.socket.destroy()
  else if (reason === 'two-names' || reason === 'malformed-name')
    alertAndClose(engine, accepted, ALERT.unrecognizedName)
  else alertAndClose(engine, accepted, ALERT.decodeError)
}

function refuse(engine: Engine, label: PortLabel, { socket }: Accepted, denial: string): void {
  tellRefused(engine, label, socket, denial)
  socket.destroy()
}
