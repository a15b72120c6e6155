import { gatewayBindPort, PORTS } from '../../contract/pod.ts'
import type { ListenerCertificate } from '../../contract/workload-config.ts'
import { parseHostnamePattern } from '../../model/hostname.ts'
import { parseLabelSelector } from '../../model/match/labels.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { Gateway, Listener } from '../resources/gateway.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { intersectHostnames } from './hostnames.ts'
import { certificatesOf, type JudgeKeyPair } from './listener-certificates.ts'
import { ACCEPTED, type ConditionFound, RESOLVED, refused } from './report.ts'

const GATEWAY_API = 'gateway.networking.k8s.io'

/** The kinds of routes that are served, in the order of the alphabet. */
export const ROUTE_KINDS = ['GRPCRoute', 'HTTPRoute'] as const
export type RouteKind = (typeof ROUTE_KINDS)[number]

/** The kinds of routes whose connections are carried as bytes, in the order of the alphabet. */
export const STREAM_KINDS = ['TCPRoute', 'TLSRoute'] as const
export type StreamKind = (typeof STREAM_KINDS)[number]

/** One listener of a Gateway of ours. */
export interface ListenerFacts {
  readonly name: string
  readonly port: number
  readonly protocol: 'http' | 'https' | 'tls' | 'tcp'
  /** tls only: whether TLS is ended here. */
  readonly mode?: 'passthrough' | 'terminate'
  /** In lower case; absent: every host. */
  readonly hostname?: string
  readonly certificates: readonly ListenerCertificate[]
  readonly accepted: ConditionFound
  readonly resolvedRefs: ConditionFound
  readonly conflicted: ConditionFound
  /** Listeners of the same port whose hostnames are partly its own: one TLS connection could be for both. */
  readonly overlaps: readonly string[]
  /** False: routes cannot attach and nothing is served. */
  readonly isValid: boolean
  /** The kinds of routes that it takes, in the order of the alphabet. */
  readonly kinds: readonly (RouteKind | StreamKind)[]
  /** Whether routes of a kind and namespace may attach. */
  readonly admits: (
    kind: RouteKind | StreamKind,
    namespace: string,
    labels: Readonly<Record<string, string>>,
  ) => boolean
}

const NO_CONFLICT: ConditionFound = { status: 'False', reason: 'NoConflicts', message: 'No listener is in its way.' }

/** The listeners of a Gateway, in the order of its spec; what is wrong with them is added to `issues`. */
export function listenersOf(
  gateway: Gateway,
  namespace: string,
  snapshot: Snapshot,
  judgeKeyPair: JudgeKeyPair | undefined,
  issues: Issue[],
): readonly ListenerFacts[] {
  const read = gateway.spec.listeners.map((listener, i) =>
    readListener(listener, `spec.listeners[${i}]`, gateway, issues),
  )
  const named = read.filter(({ listener: { name }, path }, i) => {
    const isFirst = read.findIndex((other) => other.listener.name === name) === i
    if (!isFirst) issues.push(issue('duplicate-listener', `${path}.name`, `${name} is there twice`))
    return isFirst
  })
  const conflicts = conflictsOf(named, issues)
  return named.map((each): ListenerFacts => {
    const { listener, path, host, accepted } = each
    const { name, port, protocol } = listener
    const secret = { namespace, hostname: host, path: `${path}.tls`, snapshot, judgeKeyPair, issues }
    const found = endsTls(listener) ? certificatesOf(listener, secret) : { certificates: [], resolvedRefs: RESOLVED }
    const asked = listener.allowedRoutes?.kinds ?? []
    const taken = kindsOf(listener)
    const known = asked.flatMap(({ group = GATEWAY_API, kind }) =>
      group === GATEWAY_API ? taken.filter((each) => each === kind) : [],
    )
    const isTaken = ({ group = GATEWAY_API, kind }: (typeof asked)[number]) =>
      group === GATEWAY_API && taken.some((each) => each === kind)
    // Where the protocol is not served, that is what there is to say.
    const first = taken.length === 0 ? undefined : asked.find((each) => !isTaken(each))
    if (first !== undefined) {
      const message = `${first.kind} is not supported by a listener of ${protocol}: use ${taken.join(' or ')}`
      issues.push(issue('invalid-route-kind', `${path}.allowedRoutes.kinds`, message))
    }
    const conflicted = conflicts.get(each) ?? NO_CONFLICT
    const isValid = accepted.status === 'True' && conflicted.status === 'False'
    const kinds = asked.length === 0 ? taken : taken.filter((kind) => known.includes(kind))
    const admits = namespacesOf(listener, namespace)
    return {
      name,
      port,
      protocol: PROTOCOLS[protocol] ?? 'http',
      ...(protocol === 'TLS' && { mode: isPassthrough(listener) ? ('passthrough' as const) : ('terminate' as const) }),
      ...(host !== '' && { hostname: host }),
      certificates: found.certificates,
      accepted,
      resolvedRefs:
        first === undefined ? found.resolvedRefs : refused('InvalidRouteKinds', `${first.kind} is not supported.`),
      conflicted,
      overlaps: isValid && protocol === 'HTTPS' ? overlapsOf(each, named) : [],
      isValid,
      kinds,
      admits: (kind, routes, labels) => kinds.includes(kind) && admits(routes, labels),
    }
  })
}

/** A listener by itself. */
interface ReadListener {
  readonly listener: Listener
  readonly path: string
  /** In lower case; empty: every host. */
  readonly host: string
  readonly accepted: ConditionFound
}

function readListener(listener: Listener, path: string, gateway: Gateway, issues: Issue[]): ReadListener {
  const { port, protocol } = listener
  let accepted = ACCEPTED
  const refuse = (reason: string, at: string, message: string) => {
    issues.push(issue('listener-not-valid', `${path}${at}`, message))
    if (accepted === ACCEPTED) accepted = refused(reason, message)
  }
  const mode = listener.tls?.mode ?? 'Terminate'
  if (PROTOCOLS[protocol] === undefined) {
    refuse('UnsupportedProtocol', '.protocol', `${protocol} is not supported: use HTTP, HTTPS, TLS or TCP`)
  } else if (protocol === 'HTTPS' && mode !== 'Terminate') {
    refuse('UnsupportedValue', '.tls.mode', `${mode} is not supported: use Terminate`)
  } else if (protocol === 'TLS' && mode !== 'Terminate' && mode !== 'Passthrough') {
    refuse('UnsupportedValue', '.tls.mode', `${mode} is not supported: use Terminate or Passthrough`)
  } else if (protocol === 'TCP' && listener.tls !== undefined) {
    refuse('UnsupportedValue', '.tls', 'TCP has no TLS: use protocol TLS')
  } else if (protocol === 'TCP' && listener.hostname) {
    refuse('UnsupportedValue', '.hostname', 'connections of TCP name no host: leave it out, or use protocol TLS')
  }
  if (endsTls(listener) && asksForClientCertificates(gateway, port)) {
    // To serve it without asking would let in everybody whom its author meant to keep out.
    const message = 'spec.tls.frontend asks clients for certificates, which is not supported: take it out'
    refuse('UnsupportedValue', '.port', message)
  }
  const taken = portTaken(port, gateway)
  if (taken !== undefined) refuse('PortUnavailable', '.port', taken)
  const hostname = listener.hostname ? parseHostnamePattern(listener.hostname) : undefined
  if (hostname?.ok === false) refuse('UnsupportedValue', '.hostname', `it ${hostname.issues[0]?.message}`)
  return { listener, path, host: hostname?.ok ? hostname.value : '', accepted }
}

/** Whether routes of this kind are served, of whatever kind. */
export function isRouteKind(kind: string): kind is RouteKind | StreamKind {
  return [...ROUTE_KINDS, ...STREAM_KINDS].some((known) => known === kind)
}

/** The protocols that are served, by the word for each. */
const PROTOCOLS: Readonly<Record<string, ListenerFacts['protocol']>> = Object.assign(Object.create(null), {
  HTTP: 'http',
  HTTPS: 'https',
  TLS: 'tls',
  TCP: 'tcp',
})

/** The kinds of routes that a listener can take, by its protocol. */
function kindsOf(listener: Listener): ListenerFacts['kinds'] {
  switch (PROTOCOLS[listener.protocol]) {
    case 'http':
    case 'https':
      return ROUTE_KINDS
    case 'tls':
      return isPassthrough(listener) ? ['TLSRoute'] : STREAM_KINDS
    case 'tcp':
      return ['TCPRoute']
    default:
      return []
  }
}

function isPassthrough({ tls }: Listener): boolean {
  return tls?.mode === 'Passthrough'
}

/** Whether it shows clients a certificate. */
function endsTls(listener: Listener): boolean {
  return listener.protocol === 'HTTPS' || (listener.protocol === 'TLS' && !isPassthrough(listener))
}

function asksForClientCertificates({ spec: { tls } }: Gateway, port: number): boolean {
  const { default: forAll, perPort = [] } = tls?.frontend ?? {}
  return (perPort.find((each) => each.port === port)?.tls ?? forAll)?.validation !== undefined
}

const OWN_PORTS: ReadonlySet<number> = new Set(Object.values(PORTS))

/** Why a pod of the gateway could not bind the port; undefined if it can. On a laptop it holds too: what is written must do for both. */
function portTaken(port: number, { spec: { listeners } }: Gateway): string | undefined {
  if (OWN_PORTS.has(port)) return `port ${port} is one of the gateway's own, for probes, metrics and the like`
  const low = listeners.find((other) => other.port !== port && gatewayBindPort(other.port) === port)
  if (low === undefined) return undefined
  return `port ${port} is what the gateway's pods listen on for port ${low.port}, that of listener ${low.name}`
}

/**
 * Listeners that no request could be told to be for (Gateway API, Gateway.spec.listeners): two protocols on a port, one
 * hostname twice. None of them wins: all are out.
 */
function conflictsOf(listeners: readonly ReadListener[], issues: Issue[]): ReadonlyMap<ReadListener, ConditionFound> {
  const conflicts = new Map<ReadListener, ConditionFound>()
  const candidates = listeners.filter(({ accepted }) => accepted.status === 'True')
  for (const each of candidates) {
    const { port, protocol } = each.listener
    const others = candidates.filter((other) => other !== each && other.listener.port === port)
    const spoken = others.find((other) => other.listener.protocol !== protocol)?.listener
    const same = others.find((other) => other.host === each.host)?.listener
    const conflict = (reason: string, message: string) => {
      issues.push(issue('listener-conflict', each.path, message))
      conflicts.set(each, { status: 'True', reason, message })
    }
    if (spoken !== undefined) {
      conflict('ProtocolConflict', `listener ${spoken.name} of port ${port} speaks ${spoken.protocol}`)
    } else if (same !== undefined) {
      const what = each.host === '' ? 'every hostname' : each.host
      const message =
        protocol === 'TCP'
          ? `listener ${same.name} has port ${port} as well, and connections of TCP name no host`
          : `listener ${same.name} of port ${port} has ${what} as well`
      conflict('HostnameConflict', message)
    }
  }
  return conflicts
}

function overlapsOf(each: ReadListener, listeners: readonly ReadListener[]): readonly string[] {
  return listeners.flatMap((other) => {
    if (other === each || other.listener.port !== each.listener.port || other.listener.protocol !== 'HTTPS') return []
    if (other.accepted.status === 'False') return []
    const both = intersectHostnames(each.host === '' ? [] : [each.host], other.host === '' ? undefined : other.host)
    return both === undefined ? [] : [other.listener.name]
  })
}

function namespacesOf(
  { allowedRoutes }: Listener,
  own: string,
): (namespace: string, labels: Readonly<Record<string, string>>) => boolean {
  const { from = 'Same', selector } = allowedRoutes?.namespaces ?? {}
  switch (from) {
    case 'All':
      return () => true
    case 'Same':
      return (namespace) => namespace === own
    case 'None':
      return () => false
    case 'Selector': {
      const parsed = selector === undefined ? undefined : parseLabelSelector(selector)
      return parsed?.ok === true ? (_, labels) => parsed.value(labels) : () => false
    }
  }
}
