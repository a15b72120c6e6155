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

/** One listener of a Gateway of ours. */
export interface ListenerFacts {
  readonly name: string
  readonly port: number
  readonly protocol: 'http' | 'https'
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
  readonly kinds: readonly RouteKind[]
  /** Whether routes of a kind and namespace may attach. */
  readonly admits: (kind: RouteKind, namespace: string, labels: Readonly<Record<string, string>>) => boolean
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
    const found = protocol === 'HTTPS' ? certificatesOf(listener, secret) : { certificates: [], resolvedRefs: RESOLVED }
    const asked = listener.allowedRoutes?.kinds ?? []
    const known = asked.flatMap(({ group = GATEWAY_API, kind }) =>
      group === GATEWAY_API ? ROUTE_KINDS.filter((each) => each === kind) : [],
    )
    const first = asked.find(({ group = GATEWAY_API, kind }) => group !== GATEWAY_API || !isRouteKind(kind))
    if (first !== undefined) {
      const message = `${first.kind} is not supported: use HTTPRoute or GRPCRoute`
      issues.push(issue('invalid-route-kind', `${path}.allowedRoutes.kinds`, message))
    }
    const conflicted = conflicts.get(each) ?? NO_CONFLICT
    const isValid = accepted.status === 'True' && conflicted.status === 'False'
    const admitted = asked.length === 0 ? ROUTE_KINDS : ROUTE_KINDS.filter((kind) => known.includes(kind))
    const kinds = isServable(protocol) ? admitted : []
    const admits = namespacesOf(listener, namespace)
    return {
      name,
      port,
      protocol: protocol === 'HTTPS' ? 'https' : 'http',
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
  if (!isServable(protocol)) {
    refuse('UnsupportedProtocol', '.protocol', `${protocol} is not supported: use HTTP or HTTPS`)
  } else if (protocol === 'HTTPS' && (listener.tls?.mode ?? 'Terminate') !== 'Terminate') {
    refuse('UnsupportedValue', '.tls.mode', `${listener.tls?.mode} is not supported: use Terminate`)
  }
  if (protocol === 'HTTPS' && asksForClientCertificates(gateway, port)) {
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

/** Whether routes of this kind are served. */
export function isRouteKind(kind: string): kind is RouteKind {
  return (ROUTE_KINDS as readonly string[]).includes(kind)
}

function isServable(protocol: string): boolean {
  return protocol === 'HTTP' || protocol === 'HTTPS'
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
      conflict('HostnameConflict', `listener ${same.name} of port ${port} has ${what} as well`)
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
