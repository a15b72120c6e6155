import type { ListenerCertificate } from '../../contract/workload-config.ts'
import { parseHostnamePattern } from '../../model/hostname.ts'
import { parseLabelSelector } from '../../model/match/labels.ts'
import type { Resource } from '../../model/resource.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import { type WorkloadId, workloadIdFor } from '../../model/workload-id.ts'
import {
  CERTIFICATE_OPTION,
  CONTROLLER_NAME,
  type Listener,
  readGateway,
  readGatewayClass,
} from '../resources/gateway.ts'
import { secretText } from '../resources/secret.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isGranted } from './grants.ts'
import { ACCEPTED, type ConditionFound, RESOLVED, refused } from './report.ts'

/** Where gateways and the operator live. Nothing else of this namespace is meshed. */
export const SYSTEM_NAMESPACE = 'hauberk-system'

/** The service account of the operator, in that namespace. */
export const OPERATOR_SERVICE_ACCOUNT = 'hauberk-operator'

const GATEWAY_API = 'gateway.networking.k8s.io'

/** A Gateway of a class of ours. */
export interface GatewayFacts {
  readonly resource: Resource
  readonly id: WorkloadId
  readonly namespace: string
  readonly name: string
  /** Also the name of its service account. */
  readonly serviceAccount: string
  readonly listeners: readonly ListenerFacts[]
  readonly accepted: ConditionFound
  readonly issues: readonly Issue[]
}

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
  /** False: routes cannot attach and nothing is served. */
  readonly isValid: boolean
  /** Whether HTTPRoutes of a namespace may attach. */
  readonly admits: (namespace: string, labels: Readonly<Record<string, string>>) => boolean
}

export interface GatewaysFound {
  /** By namespace and name. Those that were refused as a whole have no listeners. */
  readonly gateways: readonly GatewayFacts[]
  readonly classes: readonly { readonly resource: Resource; readonly accepted: ConditionFound }[]
  /** About Gateways that are nobody's, or that cannot be read. */
  readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
}

/** The workload that a Gateway is. Its id and its identity are the same on a laptop and on a cluster. */
export function gatewayServiceAccount(namespace: string, name: string): string {
  return `gateway-${namespace}-${name}`
}

/** Every Gateway of a class whose controller we are. */
export function gatewaysOf(snapshot: Snapshot): GatewaysFound {
  const classes = snapshot.ofKind('GatewayClass').filter((resource) => {
    const read = readGatewayClass(resource)
    return read.ok && read.value.spec.controllerName === CONTROLLER_NAME
  })
  const ours = new Set(classes.map(({ metadata }) => metadata.name))
  const gateways: GatewayFacts[] = []
  const issues: { resource: Resource; issue: Issue }[] = []
  const taken = new Map<string, Resource>()
  for (const resource of [...snapshot.ofKind('Gateway')].sort(byAge)) {
    const read = readGateway(resource)
    if (!read.ok) {
      issues.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const { gatewayClassName, listeners } = read.value.spec
    if (!ours.has(gatewayClassName)) {
      if (snapshot.get('GatewayClass', undefined, gatewayClassName) === undefined) {
        const missing = issue('no-such-class', 'spec.gatewayClassName', `there is no GatewayClass ${gatewayClassName}`)
        issues.push({ resource, issue: { ...missing, severity: 'warning' } })
      }
      continue
    }
    const { name, namespace = 'default' } = resource.metadata
    const serviceAccount = gatewayServiceAccount(namespace, name)
    const id = workloadIdFor(SYSTEM_NAMESPACE, serviceAccount)
    if (!id.ok) {
      issues.push(...id.issues.map((found) => ({ resource, issue: under('metadata.name', found) })))
      continue
    }
    const common = { resource, id: id.value, namespace, name, serviceAccount }
    // `a-b` and `c`, `a` and `b-c`: two Gateways of two tenants would be one workload with one identity.
    const holder = taken.get(serviceAccount)
    if (holder !== undefined) {
      const message = `its workload ${id.value} is that of Gateway ${holder.metadata.namespace}/${holder.metadata.name}`
      const conflict = issue('gateway-name-conflict', 'metadata.name', message, 'choose another name')
      gateways.push({ ...common, listeners: [], accepted: refused('Invalid', message), issues: [conflict] })
      continue
    }
    taken.set(serviceAccount, resource)
    const found: Issue[] = []
    const facts = listenersOf(listeners, resource, snapshot, found)
    gateways.push({
      ...common,
      listeners: facts,
      accepted: acceptedOf(facts),
      issues: found,
    })
  }
  return {
    gateways: gateways.sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1)),
    classes: classes.map((resource) => ({ resource, accepted: ACCEPTED })),
    issues,
  }
}

function acceptedOf(listeners: readonly ListenerFacts[]): ConditionFound {
  const invalid = listeners.filter(({ isValid }) => !isValid)
  if (invalid.length === 0) return ACCEPTED
  const message = `Listeners that are not served: ${invalid.map(({ name }) => name).join(', ')}.`
  return { status: invalid.length < listeners.length ? 'True' : 'False', reason: 'ListenersNotValid', message }
}

const NO_CONFLICT: ConditionFound = { status: 'False', reason: 'NoConflicts', message: 'No listener is in its way.' }

function listenersOf(
  listeners: readonly Listener[],
  gateway: Resource,
  snapshot: Snapshot,
  issues: Issue[],
): readonly ListenerFacts[] {
  const protocols = new Map<number, string>()
  const places = new Set<string>()
  const names = new Set<string>()
  return listeners.flatMap((listener, i) => {
    const path = `spec.listeners[${i}]`
    const { name, port, protocol } = listener
    if (names.has(name)) {
      issues.push(issue('duplicate-listener', `${path}.name`, `${name} is there twice`))
      return []
    }
    names.add(name)
    let accepted = ACCEPTED
    const refuse = (reason: string, at: string, message: string) => {
      issues.push(issue('listener-not-valid', `${path}${at}`, message))
      accepted = refused(reason, message)
    }
    if (protocol !== 'HTTP' && protocol !== 'HTTPS') {
      refuse('UnsupportedProtocol', '.protocol', `${protocol} is not supported: use HTTP or HTTPS`)
    } else if (protocol === 'HTTPS' && (listener.tls?.mode ?? 'Terminate') !== 'Terminate') {
      refuse('UnsupportedValue', '.tls.mode', `${listener.tls?.mode} is not supported: use Terminate`)
    }
    const hostname = listener.hostname ? parseHostnamePattern(listener.hostname) : undefined
    if (hostname?.ok === false) refuse('UnsupportedValue', '.hostname', `it ${hostname.issues[0]?.message}`)

    // The first listener of a port says what is spoken there, and the first of a hostname has it.
    let conflicted = NO_CONFLICT
    const host = hostname?.ok ? hostname.value : ''
    const conflict = (reason: string, message: string) => {
      issues.push(issue('listener-conflict', path, message))
      conflicted = { status: 'True', reason, message }
    }
    if (accepted.status === 'True') {
      const spoken = protocols.get(port)
      if (spoken !== undefined && spoken !== protocol) {
        conflict('ProtocolConflict', `another listener of port ${port} speaks ${spoken}`)
      } else if (places.has(`${port} ${host}`)) {
        conflict('HostnameConflict', `another listener of port ${port} has ${host === '' ? 'every hostname' : host}`)
      } else {
        protocols.set(port, protocol)
        places.add(`${port} ${host}`)
      }
    }

    const certificates =
      protocol === 'HTTPS'
        ? certificatesOf(listener, host, gateway, snapshot, path, issues)
        : { certificates: [], resolvedRefs: RESOLVED }
    const kinds = listener.allowedRoutes?.kinds ?? [{ kind: 'HTTPRoute' }]
    const foreign = kinds.filter(({ group = GATEWAY_API, kind }) => group !== GATEWAY_API || kind !== 'HTTPRoute')
    if (foreign.length > 0) {
      issues.push(
        issue(
          'invalid-route-kind',
          `${path}.allowedRoutes.kinds`,
          `${foreign[0]?.kind} is not supported: use HTTPRoute`,
        ),
      )
    }
    const takesRoutes = foreign.length < kinds.length || kinds.length === 0
    const admits = namespacesOf(listener, gateway.metadata.namespace ?? 'default')
    return [
      {
        name,
        port,
        protocol: protocol === 'HTTPS' ? 'https' : 'http',
        ...(host !== '' && { hostname: host }),
        certificates: certificates.certificates,
        accepted,
        resolvedRefs:
          foreign.length > 0
            ? refused('InvalidRouteKinds', `${foreign[0]?.kind} is not supported.`)
            : certificates.resolvedRefs,
        conflicted,
        isValid: accepted.status === 'True' && conflicted.status === 'False',
        admits: (namespace, labels) => takesRoutes && admits(namespace, labels),
      } satisfies ListenerFacts,
    ]
  })
}

function namespacesOf({ allowedRoutes }: Listener, own: string): ListenerFacts['admits'] {
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

function certificatesOf(
  { tls = {} }: Listener,
  hostname: string,
  gateway: Resource,
  snapshot: Snapshot,
  listenerPath: string,
  issues: Issue[],
): { readonly certificates: readonly ListenerCertificate[]; readonly resolvedRefs: ConditionFound } {
  const path = `${listenerPath}.tls`
  let resolvedRefs = RESOLVED
  const refuse = (reason: string, at: string, message: string, fix?: string) => {
    issues.push(issue('certificate-not-resolved', at, message, fix))
    resolvedRefs = refused(reason, message)
  }
  const certificates: ListenerCertificate[] = []
  const option = tls.options?.[CERTIFICATE_OPTION]
  if (option === 'mesh') {
    if (hostname !== '') certificates.push({ source: 'mesh', hostname })
    else {
      refuse(
        'InvalidCertificateRef',
        `${path}.options`,
        'a certificate of the mesh is for a hostname, and this listener has none',
        'give the listener a hostname',
      )
    }
  } else if (option !== undefined) {
    refuse('InvalidCertificateRef', `${path}.options`, `${option} is not a source of certificates`, "write 'mesh'")
  }
  const namespace = gateway.metadata.namespace ?? 'default'
  for (const [i, ref] of (tls.certificateRefs ?? []).entries()) {
    const at = `${path}.certificateRefs[${i}]`
    const { group = '', kind = 'Secret', name } = ref
    const to = { group, kind, namespace: ref.namespace ?? namespace, name }
    const secret = `Secret ${to.namespace}/${name}`
    if (group !== '' || kind !== 'Secret') {
      refuse('InvalidCertificateRef', at, `${kind} is not supported`, 'refer to a Secret')
      continue
    }
    if (!isGranted(snapshot, { from: { group: GATEWAY_API, kind: 'Gateway', namespace }, to })) {
      refuse('RefNotPermitted', at, `no ReferenceGrant of ${to.namespace} permits it`, `grant it in ${to.namespace}`)
      continue
    }
    const found = snapshot.get('Secret', to.namespace, name)
    if (found === undefined) {
      refuse('InvalidCertificateRef', at, `there is no ${secret}`)
      continue
    }
    const certificate = secretText(found, 'tls.crt')
    const privateKey = secretText(found, 'tls.key')
    if (!certificate?.includes('-----BEGIN CERTIFICATE-----') || !privateKey?.includes('PRIVATE KEY-----')) {
      refuse('InvalidCertificateRef', at, `${secret} has no PEM in tls.crt and tls.key`)
      continue
    }
    certificates.push({ source: 'secret', name: `${to.namespace}/${name}`, certificate, privateKey })
  }
  if (certificates.length === 0 && resolvedRefs === RESOLVED) {
    refuse(
      'InvalidCertificateRef',
      path,
      'HTTPS needs a certificate',
      `name a Secret in certificateRefs, or write options: {${CERTIFICATE_OPTION}: mesh}`,
    )
  }
  return { certificates, resolvedRefs }
}

/** Older first, then by namespace and name: who was there first keeps what two want. */
function byAge({ metadata: a }: Resource, { metadata: b }: Resource): number {
  const [left, right] = [a, b].map(
    ({ creationTimestamp = '', namespace = '', name }) => `${creationTimestamp} ${namespace}/${name}`,
  ) as [string, string]
  return left < right ? -1 : left > right ? 1 : 0
}
