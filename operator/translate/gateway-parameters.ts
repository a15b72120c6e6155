import type { Resource } from '../../model/resource.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import type { Gateway, GatewayClass, ParametersReference } from '../resources/gateway.ts'
import { checkGatewayParameters, type GatewayParametersSpec, mergeParameters } from '../resources/gateway-parameters.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type ConditionFound, refused } from './report.ts'

/** What `parametersRef` comes to. */
export type ParametersFound =
  | { readonly ok: true; readonly parameters: GatewayParametersSpec; readonly named: readonly Resource[] }
  | { readonly ok: false; readonly refusal: ConditionFound; readonly issue: Issue }

const KIND = 'GatewayParameters'
const GROUP = 'hauberk.dev'
const NO_PARAMETERS: ParametersFound = { ok: true, parameters: {}, named: [] }

/** The parameters of a Gateway: its own, then those of its class. */
export function parametersOfGateway(
  gateway: Gateway,
  namespace: string,
  ofClass: ParametersFound,
  snapshot: Snapshot,
): ParametersFound {
  const path = 'spec.infrastructure.parametersRef'
  const { parametersRef } = gateway.spec.infrastructure ?? {}
  const own = resolve(parametersRef && { ...parametersRef, namespace }, path, snapshot)
  if (!own.ok) return own
  if (!ofClass.ok) {
    const message = `its GatewayClass says: ${ofClass.issue.message}`
    return failed(issue('parameters-not-resolved', 'spec.gatewayClassName', message))
  }
  return {
    ok: true,
    parameters: mergeParameters(own.parameters, ofClass.parameters),
    named: [...own.named, ...ofClass.named],
  }
}

export function parametersOfClass({ spec: { parametersRef } }: GatewayClass, snapshot: Snapshot): ParametersFound {
  if (parametersRef !== undefined && parametersRef.namespace === undefined) {
    const message = 'names no namespace, and GatewayParameters are in one'
    return failed(issue('parameters-not-resolved', 'spec.parametersRef.namespace', message))
  }
  return resolve(parametersRef, 'spec.parametersRef', snapshot)
}

function resolve(ref: ParametersReference | undefined, path: string, snapshot: Snapshot): ParametersFound {
  if (ref === undefined) return NO_PARAMETERS
  const { group, kind, namespace, name } = ref
  if (group !== GROUP || kind !== KIND) {
    const fix = `refer to kind ${KIND} of group ${GROUP}`
    return failed(issue('parameters-not-resolved', path, `${kind}.${group} is not supported`, fix))
  }
  const resource = snapshot.get(KIND, namespace, name)
  if (resource === undefined) {
    return failed(issue('parameters-not-resolved', path, `there is no ${KIND} ${namespace}/${name}`))
  }
  const [broken] = reviewParameters(resource)
  if (broken !== undefined) {
    const message = `${KIND} ${namespace}/${name}: ${broken.path}: ${broken.message}`
    return failed(issue('parameters-not-resolved', path, message))
  }
  return { ok: true, parameters: (resource.spec ?? {}) as GatewayParametersSpec, named: [resource] }
}

const reviewed = new WeakMap<Resource, readonly Issue[]>()

/** What is wrong with a GatewayParameters, with paths from its root; remembered weakly. */
export function reviewParameters(resource: Resource): readonly Issue[] {
  const known = reviewed.get(resource)
  if (known !== undefined) return known
  const issues = checkGatewayParameters(resource.spec).map((found) => under('', found))
  reviewed.set(resource, issues)
  return issues
}

function failed(found: Issue): ParametersFound {
  return { ok: false, issue: found, refusal: refused('InvalidParameters', `${found.path}: ${found.message}.`) }
}
