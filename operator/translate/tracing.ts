import type { TraceConfig } from '../../contract/workload-config.ts'
import type { BackendReference } from '../../model/backend-calls.ts'
import type { Origin } from '../../model/origin.ts'
import { type Issue, under } from '../../model/result.ts'
import { MESH_CONFIG_NAME } from '../resources/mesh-config.ts'
import type { References } from './references.ts'

/** How the mesh records requests. */
export interface TracingSettings {
  /** From 0 to 1. */
  readonly samplingRatio: number
  /** Whom spans are sent to. Absent: nothing is recorded. */
  readonly collector?: { readonly reference: BackendReference; readonly path: string }
}

export const DEFAULT_SAMPLING_RATIO = 0.01

/** What OTLP over HTTP posts spans to, below the endpoint. */
const TRACES = '/v1/traces'

/** Whom an endpoint names: a Service of the mesh by `http://NAME.NAMESPACE`, a host outside by `https://`. */
export function collectorAt(endpoint: string): TracingSettings['collector'] {
  const [, scheme, host, portText, base = ''] = ENDPOINT.exec(endpoint) ?? []
  if (host === undefined) return undefined
  const path = `${base.replace(/\/+$/, '')}${TRACES}`
  if (scheme === 'https') return { reference: { host, port: Number(portText ?? 443) }, path }
  const [name = '', namespace = ''] = host.split('.')
  return { reference: { name, namespace, port: Number(portText ?? 80) }, path }
}

const ENDPOINT = /^(https?):\/\/([a-z0-9.-]+)(?::([0-9]{1,5}))?(\/.*)?$/

/** How a workload keeps traces; undefined: not at all. */
export function traceOf(
  { tracing }: { readonly tracing?: TracingSettings },
  references: References,
): TraceConfig | undefined {
  if (tracing === undefined) return undefined
  const { samplingRatio, collector } = tracing
  const found = collector === undefined ? undefined : references.upstream(collector.reference, MESH)
  if (collector === undefined || !found?.ok) return { samplingRatio }
  const { upstream, authority } = found.value
  return { samplingRatio, collector: { upstream, host: authority, path: collector.path } }
}

/** Why spans cannot be sent where MeshConfig says. */
export function collectorIssues(
  { tracing }: { readonly tracing?: TracingSettings },
  references: References,
): readonly Issue[] {
  if (tracing?.collector === undefined) return []
  const found = references.upstream(tracing.collector.reference, MESH)
  return found.ok ? [] : found.issues.map((each) => under('spec.telemetry.tracing.endpoint', each))
}

const MESH: Origin = { kind: 'MeshConfig', name: MESH_CONFIG_NAME, generation: 0 }
