import { recordOf } from '../../../operator/kubernetes/object.ts'
import { CONTROLLER_NAME } from '../../../operator/resources/gateway.ts'
import { SYSTEM_NAMESPACE } from '../../../operator/translate/gateways.ts'
import { ROUTE_KINDS, STREAM_KINDS } from '../../../operator/translate/listeners.ts'
import type { ClusterFacts } from '../facts.ts'
import { type Conditioned, conditionOf, nameOf } from '../objects.ts'
import { seenOr } from '../read.ts'
import { type CheckSection, counted, error, type Judgement, judged, type Problem, skipped, warn } from './check.ts'

export const GATEWAYS: CheckSection = {
  title: 'Gateways',
  checks: [
    { id: 'gateway-class', title: 'a GatewayClass is ours, and accepted', judge: judgeClass },
    { id: 'gateways-programmed', title: 'every Gateway is accepted and programmed', judge: judgeGateways },
    { id: 'gateway-addresses', title: 'every Gateway has an address', judge: judgeAddresses },
    { id: 'routes-attached', title: 'every route is attached, and its backends are there', judge: judgeRoutes },
  ],
}

function all(facts: ClusterFacts, kind: string): readonly Conditioned[] {
  return seenOr(facts.resources.get(kind) ?? { kind: 'absent' }, [])
}

function ourClasses(facts: ClusterFacts): readonly Conditioned[] {
  return all(facts, 'GatewayClass').filter(({ spec }) => spec?.['controllerName'] === CONTROLLER_NAME)
}

function ourGateways(facts: ClusterFacts): readonly Conditioned[] {
  const names = new Set(ourClasses(facts).map(({ metadata }) => metadata.name))
  return all(facts, 'Gateway').filter(({ spec }) => names.has(String(spec?.['gatewayClassName'])))
}

function judgeClass(facts: ClusterFacts): Judgement {
  const look = facts.resources.get('GatewayClass')
  if (look?.kind !== 'seen') return skipped('the API server has no GatewayClasses')
  const found = ourClasses(facts)
  if (found.length === 0) {
    const message = `no GatewayClass has controllerName ${CONTROLLER_NAME}: no Gateway is served`
    return judged([warn(undefined, message, 'the operator makes one with gatewayClass.create of the chart')])
  }
  const problems = found.flatMap((gatewayClass): Problem[] => {
    const { status, message = 'no operator has read it yet' } = conditionOf(gatewayClass, 'Accepted') ?? {}
    return status === 'True' ? [] : [error(`GatewayClass/${nameOf(gatewayClass)}`, `is not accepted: ${message}`)]
  })
  return judged(problems, found.map(nameOf).join(', '))
}

const NONE = 'there are no Gateways of ours'

function judgeGateways(facts: ClusterFacts): Judgement {
  const gateways = ourGateways(facts)
  if (gateways.length === 0) return skipped(NONE)
  const problems = gateways.flatMap((gateway) =>
    ['Accepted', 'Programmed'].flatMap((type): Problem[] => {
      const { status, reason = 'Pending', message = 'no operator has read it yet' } = conditionOf(gateway, type) ?? {}
      if (status === 'True') return []
      const { namespace, name } = gateway.metadata
      const pods = `kubectl -n ${SYSTEM_NAMESPACE} get deployment,service gateway-${namespace}-${name}`
      return [error(`Gateway/${nameOf(gateway)}`, `${type} is ${status ?? 'not said'}: ${reason}: ${message}`, pods)]
    }),
  )
  return judged(problems, counted(gateways.length, 'gateway'))
}

function judgeAddresses(facts: ClusterFacts): Judgement {
  const gateways = ourGateways(facts)
  if (gateways.length === 0) return skipped(NONE)
  const addresses = gateways.flatMap(({ status }) => (status?.addresses ?? []).flatMap(({ value }) => value ?? []))
  const problems = gateways.flatMap((gateway): Problem[] => {
    if ((gateway.status?.addresses ?? []).length > 0) return []
    const fix =
      'where nothing gives addresses to LoadBalancers, say NodePort or ClusterIP by GatewayParameters: docs/gateways.md'
    return [warn(`Gateway/${nameOf(gateway)}`, 'has no address: nobody outside reaches it', fix)]
  })
  return judged(problems, [...new Set(addresses)].slice(0, 4).join(', '))
}

function judgeRoutes(facts: ClusterFacts): Judgement {
  const gateways = new Set(ourGateways(facts).map(nameOf))
  const routes = [...ROUTE_KINDS, ...STREAM_KINDS]
    .flatMap((kind) => all(facts, kind))
    .filter(({ spec, metadata }) => {
      const parents = spec?.['parentRefs']
      return (Array.isArray(parents) ? parents : []).some((parent) => {
        const { namespace = metadata.namespace, name, kind, group } = recordOf(parent)
        return (kind === 'Service' && group === '') || gateways.has(`${namespace}/${name}`)
      })
    })
  if (routes.length === 0) return skipped('no route is for a Gateway of ours or a Service')
  const problems = routes.flatMap((route): Problem[] => {
    const resource = `${route.kind}/${nameOf(route)}`
    const parents = (route.status?.parents ?? []).filter(({ controllerName }) => controllerName === CONTROLLER_NAME)
    if (parents.length === 0) return [warn(resource, 'no operator has read it yet')]
    return parents.flatMap(({ parentRef, conditions = [] }) =>
      conditions.flatMap(({ type, status, reason = '', message = '' }) =>
        status === 'False' && (type === 'Accepted' || type === 'ResolvedRefs')
          ? [error(resource, `${type} at ${parentRef?.name ?? 'its gateway'} is False: ${reason}: ${message}`)]
          : [],
      ),
    )
  })
  return judged(problems, counted(routes.length, 'route'))
}
