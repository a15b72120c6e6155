import { readGRPCRoute } from '../../operator/resources/grpc-route.ts'
import { EXPERIMENTAL_FIELDS, type HTTPRouteRule, readHTTPRoute } from '../../operator/resources/http-route.ts'
import { keyOf } from '../../operator/sources/resource-file.ts'
import type { Snapshot } from '../../operator/store/snapshot.ts'
import { ROUTE_KINDS } from '../../operator/translate/listeners.ts'
import type { Finding } from './finding.ts'

/** What routes say that a cluster may not take, because its definitions of Gateway API are of the standard channel. */
export function experimentalFields(snapshot: Snapshot): readonly Omit<Finding, 'id'>[] {
  return ROUTE_KINDS.flatMap((kind) => snapshot.ofKind(kind)).flatMap((route) => {
    const read = route.kind === 'GRPCRoute' ? readGRPCRoute(route) : readHTTPRoute(route)
    if (!read.ok) return []
    const rules: readonly Omit<HTTPRouteRule, 'matches'>[] = read.value.spec.rules ?? []
    return rules.flatMap((rule, i) =>
      EXPERIMENTAL_FIELDS.filter((field) => rule[field] !== undefined).map((field) => ({
        code: 'experimental-field',
        severity: 'info' as const,
        path: `spec.rules[${i}].${field}`,
        message: `is of Gateway API's experimental channel: a cluster with the definitions of the standard channel does not know it`,
        fix:
          field === 'retry'
            ? 'install the experimental channel there, or say it in a TrafficPolicy'
            : 'install the experimental channel there',
        resource: keyOf(route),
      })),
    )
  })
}
