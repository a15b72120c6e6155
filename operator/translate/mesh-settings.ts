import type { EgressRule } from '../../contract/workload-config.ts'
import type { ServiceReference } from '../../model/backend-calls.ts'
import { parseDuration } from '../../model/duration.ts'
import { parseCidr } from '../../model/match/cidr.ts'
import { parseHostPattern } from '../../model/match/host.ts'
import type { Resource } from '../../model/resource.ts'
import { type Issue, issue, type Result, under } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'
import { parseTrustDomain, type TrustDomain } from '../../model/spiffe-id.ts'
import { MESH_CONFIG_NAME, MESH_CONFIG_SPEC_SCHEMA, type MeshConfigSpec } from '../resources/mesh-config.ts'
import { checkStructure } from '../resources/structural.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { collectorAt, DEFAULT_SAMPLING_RATIO, type TracingSettings } from './tracing.ts'

/** What MeshConfig `default` comes to. What it leaves out, and what cannot be read of it, is as strict as it can be. */
export interface MeshSettings {
  readonly trustDomain: TrustDomain
  readonly authorizationDefault: 'Deny' | 'Allow'
  readonly egress: readonly EgressRule[]
  readonly trustedHops: number
  /** 0 is no limit. */
  readonly requestTimeoutMs: number
  readonly maxTokenLifetimeSeconds?: number
  /** Absent: limits that replicas share are divided among them. */
  readonly limitStore?: ServiceReference
  /** Absent: requests are not recorded. */
  readonly tracing?: TracingSettings
  /** 30 s .. 168 h. */
  readonly certificateLifetimeMs: number
  readonly rootGeneration: number
  /** SHA-256, lower-case hex, sorted. */
  readonly distrustedRoots: readonly string[]
}

export const DEFAULT_TRUST_DOMAIN = 'cluster.local' as TrustDomain

const DEFAULT_REQUEST_TIMEOUT_MS = 30_000
const MAX_REQUEST_TIMEOUT_MS = 86_400_000
const DEFAULT_CERTIFICATE_LIFETIME_MS = 86_400_000
const MIN_CERTIFICATE_LIFETIME_MS = 30_000
const MAX_CERTIFICATE_LIFETIME_MS = 604_800_000
const MIN_TOKEN_LIFETIME_MS = 1_000
const MAX_TOKEN_LIFETIME_MS = 31_622_400_000

/** The settings of the mesh, for whoever needs them beside `translate`. */
export function meshSettingsOf(snapshot: Snapshot): MeshSettings {
  return readMeshSettings(snapshot.get('MeshConfig', undefined, MESH_CONFIG_NAME)).settings
}

export function readMeshSettings(resource: Resource | undefined): {
  readonly settings: MeshSettings
  /** Paths from the root of the resource. */
  readonly issues: readonly Issue[]
} {
  const { spec, issues } = readFields(resource?.spec ?? {})
  const duration = (field: string, text: string | undefined, { fallback, min, max }: Range): number => {
    if (text === undefined) return fallback
    const parsed = parseDuration(text)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under(field, found)))
    else if (parsed.value >= min && parsed.value <= max) return parsed.value
    else issues.push(issue('out-of-range', field, `is not from ${min / 1_000}s to ${max / 1_000}s`))
    return fallback
  }
  const trustDomain = valueAt(parseTrustDomain(spec.trustDomain ?? DEFAULT_TRUST_DOMAIN), 'trustDomain', issues)
  const isTokenLifetimeRead = !issues.some(({ path }) => path.startsWith('maxTokenLifetime'))
  const maxTokenLifetimeMs =
    spec.maxTokenLifetime === undefined && isTokenLifetimeRead
      ? undefined
      : duration('maxTokenLifetime', spec.maxTokenLifetime, {
          fallback: MIN_TOKEN_LIFETIME_MS,
          min: MIN_TOKEN_LIFETIME_MS,
          max: MAX_TOKEN_LIFETIME_MS,
        })
  const settings: MeshSettings = {
    trustDomain: trustDomain ?? DEFAULT_TRUST_DOMAIN,
    authorizationDefault: spec.authorization?.default ?? 'Deny',
    egress: (spec.egress ?? []).flatMap((entry, i) => egressRules(entry, `egress[${i}]`, issues)),
    trustedHops: spec.trustedHops ?? 0,
    requestTimeoutMs: duration('requestTimeout', spec.requestTimeout, {
      fallback: DEFAULT_REQUEST_TIMEOUT_MS,
      min: 0,
      max: MAX_REQUEST_TIMEOUT_MS,
    }),
    ...(maxTokenLifetimeMs !== undefined && { maxTokenLifetimeSeconds: maxTokenLifetimeMs / 1_000 }),
    certificateLifetimeMs: duration('certificates.lifetime', spec.certificates?.lifetime, {
      fallback: DEFAULT_CERTIFICATE_LIFETIME_MS,
      min: MIN_CERTIFICATE_LIFETIME_MS,
      max: MAX_CERTIFICATE_LIFETIME_MS,
    }),
    ...(spec.telemetry?.tracing !== undefined && { tracing: tracingOf(spec.telemetry.tracing) }),
    ...(spec.rateLimitStore !== undefined && { limitStore: spec.rateLimitStore.redis.backendRef }),
    rootGeneration: spec.certificates?.rootGeneration ?? 1,
    distrustedRoots: [...new Set((spec.certificates?.distrustedRoots ?? []).map(asFingerprint))].sort(),
  }
  return { settings, issues: issues.map((found) => under('spec', found)) }
}

/** Whether the egress list names a host and port; `*.` entries count. */
export function egressNames({ egress }: MeshSettings, host: string, port: number): boolean {
  return egress.some((rule) => {
    if (rule.host === undefined || !rule.ports.includes(port)) return false
    const pattern = parseHostPattern(rule.host)
    return pattern.ok && pattern.value.matches(host)
  })
}

function tracingOf({
  endpoint,
  samplingRatio = DEFAULT_SAMPLING_RATIO,
}: NonNullable<NonNullable<MeshConfigSpec['telemetry']>['tracing']>): TracingSettings {
  const collector = endpoint === undefined ? undefined : collectorAt(endpoint)
  return { samplingRatio, ...(collector !== undefined && { collector }) }
}

function asFingerprint(written: string): string {
  return written.replaceAll(':', '').toLowerCase()
}

interface Range {
  readonly fallback: number
  readonly min: number
  readonly max: number
}

/** Field by field, so that garbage in one of them does not move the mesh to another trust domain. */
function readFields(written: unknown): { spec: MeshConfigSpec; issues: Issue[] } {
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    return { spec: {}, issues: [issue('schema', '', 'is not an object')] }
  }
  const properties = MESH_CONFIG_SPEC_SCHEMA['properties'] as Readonly<Record<string, JsonSchema>>
  const issues: Issue[] = []
  const spec: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(written)) {
    const schema = Object.hasOwn(properties, field) ? properties[field] : undefined
    const found =
      schema === undefined
        ? [issue('schema', '', 'is not a field')]
        : value === undefined
          ? []
          : checkStructure(schema, value, 'refuse')
    issues.push(...found.map((each) => under(field, each)))
    if (found.length === 0) spec[field] = value
  }
  return { spec: spec as MeshConfigSpec, issues }
}

function egressRules(
  { name, hosts = [], cidrs = [], ports }: NonNullable<MeshConfigSpec['egress']>[number],
  path: string,
  issues: Issue[],
): EgressRule[] {
  if (hosts.length + cidrs.length === 0) {
    issues.push(issue('empty-egress', path, 'names neither a host nor a CIDR', 'name at least one'))
  }
  const byHost = hosts.flatMap((text, i) => {
    const pattern = valueAt(parseHostPattern(text), `${path}.hosts[${i}]`, issues)
    return pattern === undefined ? [] : [{ name, host: pattern.text, ports: [...ports] }]
  })
  const byCidr = cidrs.flatMap((text, i) => {
    const cidr = valueAt(parseCidr(text), `${path}.cidrs[${i}]`, issues)
    return cidr === undefined ? [] : [{ name, cidr: cidr.text, ports: [...ports] }]
  })
  return [...byHost, ...byCidr]
}

function valueAt<T>(result: Result<T>, path: string, issues: Issue[]): T | undefined {
  if (result.ok) return result.value
  issues.push(...result.issues.map((found) => ({ ...found, path })))
  return undefined
}
