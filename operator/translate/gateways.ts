import type { Resource } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import { type WorkloadId, workloadIdFor } from '../../model/workload-id.ts'
import { CONTROLLER_NAME, type Gateway, readGateway, readGatewayClass } from '../resources/gateway.ts'
import type { GatewayParametersSpec } from '../resources/gateway-parameters.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type ParametersFound, parametersOfClass, parametersOfGateway } from './gateway-parameters.ts'
import type { JudgeKeyPair } from './listener-certificates.ts'
import { type ListenerFacts, listenersOf } from './listeners.ts'
import { ACCEPTED, type ConditionFound, RESOLVED, refused } from './report.ts'

/** Where gateways and the operator live. Nothing else of this namespace is meshed. */
export const SYSTEM_NAMESPACE = 'hauberk-system'

/** The service account of the operator, in that namespace. */
export const OPERATOR_SERVICE_ACCOUNT = 'hauberk-operator'

/**
 * The name of a gateway's workload, service account, Deployment and Service is one of a Service, which is an RFC 1035 label.
 * It is bounded on a laptop too: what is written must do for both.
 */
const MAX_NAME_LENGTH = 63

/** A Gateway of a class of ours. */
export interface GatewayFacts {
  readonly resource: Resource
  readonly id: WorkloadId
  readonly namespace: string
  readonly name: string
  readonly className: string
  /** Also the name of its service account. */
  readonly serviceAccount: string
  /** What `spec.infrastructure` wants to see on everything that is made for it. */
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Undefined where they do not resolve. */
  readonly parameters: GatewayParametersSpec | undefined
  /** The GatewayParameters that it or its class names. */
  readonly parametersNamed: readonly Resource[]
  /** None where it was refused as a whole: then it has no workload either. */
  readonly listeners: readonly ListenerFacts[]
  readonly accepted: ConditionFound
  /** Of all listeners. */
  readonly resolvedRefs: ConditionFound
  readonly issues: readonly Issue[]
}

export interface GatewaysFound {
  /** By namespace and name. */
  readonly gateways: readonly GatewayFacts[]
  readonly classes: readonly GatewayClassFacts[]
  /** About Gateways that are nobody's, or that cannot be read. */
  readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
}

export interface GatewayClassFacts {
  readonly resource: Resource
  readonly accepted: ConditionFound
  readonly issues: readonly Issue[]
}

/** The workload that a Gateway is. Its id and its identity are the same on a laptop and on a cluster. */
export function gatewayServiceAccount(namespace: string, name: string): string {
  return `gateway-${namespace}-${name}`
}

/** Every Gateway of a class whose controller we are. */
export function gatewaysOf(snapshot: Snapshot, judgeKeyPair?: JudgeKeyPair): GatewaysFound {
  const classes = snapshot.ofKind('GatewayClass').flatMap((resource) => {
    const read = readGatewayClass(resource)
    if (!read.ok || read.value.spec.controllerName !== CONTROLLER_NAME) return []
    return [{ resource, parameters: parametersOfClass(read.value, snapshot) }]
  })
  const ours = new Map(classes.map(({ resource, parameters }) => [resource.metadata.name, parameters]))
  const gateways: GatewayFacts[] = []
  const issues: { resource: Resource; issue: Issue }[] = []
  const taken = new Map<string, Resource>()
  for (const resource of [...snapshot.ofKind('Gateway')].sort(byAge)) {
    const { name, namespace = 'default' } = resource.metadata
    const serviceAccount = gatewayServiceAccount(namespace, name)
    const holder = taken.get(serviceAccount)
    // Its pods run on: nobody else becomes what they are because it cannot be read, or has no class, for a while.
    const hold = () => void (holder ?? taken.set(serviceAccount, resource))
    const read = readGateway(resource)
    if (!read.ok) {
      hold()
      issues.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const { gatewayClassName } = read.value.spec
    const ofClass = ours.get(gatewayClassName)
    if (ofClass === undefined) {
      if (snapshot.get('GatewayClass', undefined, gatewayClassName) === undefined) {
        hold()
        const missing = issue('no-such-class', 'spec.gatewayClassName', `there is no GatewayClass ${gatewayClassName}`)
        issues.push({ resource, issue: { ...missing, severity: 'warning' } })
      }
      continue
    }
    const refusal = nameRefusal(serviceAccount, holder)
    const { labels = {}, annotations = {} } = read.value.spec.infrastructure ?? {}
    const common = {
      resource,
      id: workloadOf(serviceAccount),
      namespace,
      name,
      className: gatewayClassName,
      serviceAccount,
      labels,
      annotations,
    }
    if (refusal !== undefined) {
      gateways.push({
        ...common,
        parameters: undefined,
        parametersNamed: [],
        listeners: [],
        accepted: refused('Invalid', `The name cannot be had: ${refusal.message}; ${refusal.fix}.`),
        resolvedRefs: RESOLVED,
        issues: [refusal],
      })
      continue
    }
    hold()
    gateways.push({ ...common, ...factsOf(read.value, namespace, ofClass, snapshot, judgeKeyPair) })
  }
  return {
    gateways: gateways.sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1)),
    classes: classes.map(({ resource, parameters }) =>
      parameters.ok
        ? { resource, accepted: ACCEPTED, issues: [] }
        : { resource, accepted: parameters.refusal, issues: [parameters.issue] },
    ),
    issues,
  }
}

/** One that is refused for its name has an id that no workload has. */
function workloadOf(serviceAccount: string): WorkloadId {
  const id = workloadIdFor(SYSTEM_NAMESPACE, serviceAccount)
  return id.ok ? id.value : (`${SYSTEM_NAMESPACE}/` as WorkloadId)
}

/** Why a Gateway can have no workload of its own. */
function nameRefusal(workload: string, holder: Resource | undefined): Issue | undefined {
  const is = `its workload is named ${workload}`
  if (workload.length > MAX_NAME_LENGTH) {
    const message = `${is}, which is ${workload.length} characters long, and a Service may have ${MAX_NAME_LENGTH}`
    return issue('gateway-name-unusable', 'metadata.name', message, 'choose a shorter name')
  }
  if (workload.includes('.')) {
    return issue('gateway-name-unusable', 'metadata.name', `${is}, and a Service may have no dots`, 'leave them out')
  }
  if (holder === undefined) return undefined
  // `a-b` and `c`, `a` and `b-c`: two Gateways of two tenants would be one workload with one identity.
  const { namespace, name } = holder.metadata
  const message = `${is}, and so is that of Gateway ${namespace}/${name}`
  return issue('gateway-name-conflict', 'metadata.name', message, 'choose another name')
}

/** What is refused here is not made on a cluster; what was made before stays as it is, and goes on to be told its routes. */
function factsOf(
  gateway: Gateway,
  namespace: string,
  ofClass: ParametersFound,
  snapshot: Snapshot,
  judgeKeyPair: JudgeKeyPair | undefined,
) {
  const issues: Issue[] = []
  const listeners = listenersOf(gateway, namespace, snapshot, judgeKeyPair, issues)
  const parameters = parametersOfGateway(gateway, namespace, ofClass, snapshot)
  const { addresses = [], tls } = gateway.spec
  let accepted = acceptedOf(listeners)
  if (tls?.backend?.clientCertificateRef !== undefined) {
    const message = 'spec.tls.backend is not supported: gateways show backends their own identity of the mesh'
    issues.push(issue('unsupported-value', 'spec.tls.backend', message, 'leave it out'))
    accepted = refused('Invalid', `${message}.`)
  }
  if (addresses.length > 0) {
    const message = 'no address can be asked for: it is the one that the Service is given'
    issues.push(issue('unsupported-value', 'spec.addresses', message, 'leave it out'))
    accepted = refused('UnsupportedAddress', `${message}.`)
  }
  if (!parameters.ok) {
    issues.push(parameters.issue)
    accepted = parameters.refusal
  }
  return {
    parameters: parameters.ok ? parameters.parameters : undefined,
    parametersNamed: parameters.ok ? parameters.named : [],
    listeners,
    accepted,
    resolvedRefs: resolvedRefsOf(listeners),
    issues,
  }
}

function acceptedOf(listeners: readonly ListenerFacts[]): ConditionFound {
  const invalid = listeners.filter(({ isValid }) => !isValid)
  if (invalid.length === 0) return ACCEPTED
  const message = `Listeners that are not served: ${namesOf(invalid)}.`
  if (invalid.length === listeners.length) return refused('ListenersNotValid', message)
  const served = listeners.filter(({ isValid }) => isValid)
  return { status: 'True', reason: 'ListenersNotValid', message: `${message} Accepted: ${namesOf(served)}.` }
}

function resolvedRefsOf(listeners: readonly ListenerFacts[]): ConditionFound {
  const unresolved = listeners.filter(({ resolvedRefs }) => resolvedRefs.status === 'False')
  if (unresolved.length === 0) return RESOLVED
  return refused('ListenersNotResolved', `Listeners whose references do not resolve: ${namesOf(unresolved)}.`)
}

function namesOf(listeners: readonly ListenerFacts[]): string {
  return listeners.map(({ name }) => name).join(', ')
}

/** Older first, then by namespace and name: who was there first keeps what two want. */
function byAge({ metadata: a }: Resource, { metadata: b }: Resource): number {
  const [left, right] = [a, b].map(
    ({ creationTimestamp = '', namespace = '', name }) => `${creationTimestamp} ${namespace}/${name}`,
  ) as [string, string]
  return left < right ? -1 : left > right ? 1 : 0
}
