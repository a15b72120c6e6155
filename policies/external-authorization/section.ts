import type { BackendReference } from '../../model/backend-calls.ts'
import { parseDuration } from '../../model/duration.ts'
import { formatOrigin, type Origin } from '../../model/origin.ts'
import { resourceKey } from '../../model/resource.ts'
import { fail, type Issue, issue, type Result, under } from '../../model/result.ts'
import {
  type Attached,
  type Combined,
  compareAttached,
  defineSection,
  type Levels,
  type SectionContext,
} from '../../model/section.ts'
import { combineExemptions, type ExemptingSpec } from '../exemptions/combine.ts'
import { compileExemptions } from '../exemptions/compile.ts'
import { readWire } from '../read-wire.ts'
import { chooseOne } from '../single-valued.ts'
import {
  type AuthorizerConfig,
  type CacheKeyPart,
  ExternalAuthorizationConfig,
  MAX_TIMEOUT_MS,
  MAX_TTL_MS,
} from './config.ts'
import { mayBeTold } from './header-names.ts'
import { EXT_AUTH_FLOOR_SCHEMA, EXT_AUTH_SCHEMA } from './schema.ts'

/** What a policy says under `authentication` that this room goes by. */
export interface ExternalAuthorizationSpec extends ExemptingSpec {
  readonly extAuth?: ExtAuthSpec
  /** In a floor only. */
  readonly allowFailOpen?: boolean
}

export interface ExtAuthSpec {
  readonly backendRef: BackendReference
  readonly protocol?: 'HTTP' | 'GRPC'
  readonly path?: string
  readonly timeout?: string
  readonly failOpen?: boolean
  readonly requestHeaders?: readonly string[]
  readonly upstreamHeaders?: readonly string[]
  readonly clientHeaders?: readonly string[]
  readonly context?: readonly { readonly name: string; readonly value: string }[]
  readonly cache?: { readonly key: readonly CacheKeyPart[]; readonly ttl: string }
}

/** The config but for its upstreams, which are references still. */
export interface ExternalAuthorizationValue {
  readonly authorizers: readonly {
    readonly spec: ExtAuthSpec
    readonly origin: Origin
    readonly failOpen: boolean
  }[]
  readonly exemptions: Pick<ExternalAuthorizationConfig, 'exempt' | 'exemptWithin'>
}

const PATH = 'authentication.extAuth'
const DEFAULT_TIMEOUT = '1s'
const DEFAULT_REQUEST_HEADERS = ['authorization']

/**
 * A floor's service and that of the nearest policy (or default, where no policy names one) both have to allow; among floors, and
 * among policies, the section is single-valued. `exempt` is the one of all of `authentication`.
 */
export const externalAuthorizationSection = defineSection<
  ExternalAuthorizationSpec,
  ExternalAuthorizationValue,
  ExternalAuthorizationConfig
>({
  filter: 'external-authorization',
  name: PATH,
  schema: { authentication: EXT_AUTH_SCHEMA },
  floorSchema: { authentication: EXT_AUTH_FLOOR_SCHEMA },
  pick(spec) {
    const authentication = spec['authentication'] as ExternalAuthorizationSpec | undefined
    const { extAuth, exempt, allowExempt, allowFailOpen } = authentication ?? {}
    if ([extAuth, exempt, allowExempt, allowFailOpen].every((said) => said === undefined)) return undefined
    return {
      ...(extAuth !== undefined && { extAuth }),
      ...(exempt !== undefined && { exempt }),
      ...(allowExempt !== undefined && { allowExempt }),
      ...(allowFailOpen !== undefined && { allowFailOpen }),
    }
  },
  asks: ({ extAuth }) => extAuth !== undefined,
  review,
  combine,
  translate,
})

/** Exemptions are reviewed by the room that has them in its schema. */
function review({ extAuth }: ExternalAuthorizationSpec): readonly Issue[] {
  if (extAuth === undefined) return []
  const issues: Issue[] = []
  const duration = (field: string, text: string, maxMs: number) => {
    const parsed = parseDuration(text)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under(`${PATH}.${field}`, found)))
    else if (parsed.value < 1 || parsed.value > maxMs) {
      issues.push(issue('out-of-range', `${PATH}.${field}`, `is not from 1ms to ${maxMs / 1_000}s`))
    }
  }
  duration('timeout', extAuth.timeout ?? DEFAULT_TIMEOUT, MAX_TIMEOUT_MS)
  if (extAuth.cache !== undefined) duration('cache.ttl', extAuth.cache.ttl, MAX_TTL_MS)
  for (const field of ['upstreamHeaders', 'clientHeaders'] as const) {
    for (const [i, name] of (extAuth[field] ?? []).entries()) {
      if (mayBeTold(name.toLowerCase())) continue
      const message = `is ${name}, which has a meaning of its own`
      issues.push(issue('reserved-header', `${PATH}.${field}[${i}]`, message, 'use a name such as x-user'))
    }
  }
  return issues
}

type NotApplied = NonNullable<Combined<unknown>['notApplied']>[number]

function combine(
  levels: Levels<ExternalAuthorizationSpec>,
  { protocol }: SectionContext,
): Combined<ExternalAuthorizationValue> | undefined {
  if (protocol === 'tcp') return undefined
  const [floor = [], policies = [], defaults = []] = [levels.floor, levels.policies, levels.defaults].map((level) =>
    level.toSorted(compareAttached),
  )
  const asking = (level: readonly Attached<ExternalAuthorizationSpec>[]) =>
    level.filter(({ spec }) => spec.extAuth !== undefined)
  const chosen = [
    chooseOne({ floor: asking(floor), policies: [], defaults: [] }),
    chooseOne({ floor: [], policies: asking(policies), defaults: asking(defaults) }),
  ].filter((each) => each !== undefined)
  if (chosen.length === 0) return undefined

  const notApplied: NotApplied[] = []
  const permits = floor.filter(({ spec }) => spec.allowFailOpen !== undefined)
  const mayFailOpen = permits.length > 0 && permits.every(({ spec }) => spec.allowFailOpen === true)
  const authorizers = chosen.map(({ winner: { spec, origin } }) => {
    const extAuth = spec.extAuth as ExtAuthSpec
    // Who writes for the whole mesh has the say anyway.
    const isPermitted = mayFailOpen || origin.kind === 'MeshSecurityPolicy'
    if (extAuth.failOpen === true && !isPermitted) {
      const against = permits.find(({ spec: said }) => said.allowFailOpen === false)
      const who = against === undefined ? 'no floor' : `not the floor ${formatOrigin(against.origin)}, which`
      const reason = `${who} permits it (authentication.allowFailOpen): it fails closed`
      notApplied.push({ origin, path: `${PATH}.failOpen`, reason, weakensFloor: true })
    }
    return { spec: extAuth, origin, failOpen: extAuth.failOpen === true && isPermitted }
  })
  const exempting = policies.some(({ spec }) => spec.exempt !== undefined) ? policies : defaults
  const exempt = [...floor, ...exempting].flatMap(({ spec, origin }) => {
    // One that does not parse exempts nothing here; the review of the policy tells of it.
    const value = (spec.exempt ?? []).filter(
      ({ methods = [], paths }) => compileExemptions([{ methods: [...methods], paths: [...paths] }], []).ok,
    )
    return value.length === 0 ? [] : [{ value, origin }]
  })
  const within = floor.filter(
    ({ spec }) => spec.extAuth !== undefined || spec.exempt !== undefined || spec.allowExempt !== undefined,
  )
  const exemptions = combineExemptions(exempt, within, notApplied)
  const overridden = chosen.flatMap((each) => each.overridden ?? [])
  return {
    value: { authorizers, exemptions },
    origins: uniqueOrigins([...chosen.map(({ winner }) => winner), ...within, ...exempt]),
    ...(overridden.length > 0 && { overridden }),
    ...(notApplied.length > 0 && { notApplied }),
  }
}

function uniqueOrigins(sources: readonly { readonly origin: Origin }[]): readonly Origin[] {
  return [...new Map(sources.map(({ origin }) => [JSON.stringify(origin), origin])).values()]
}

function translate(
  { authorizers, exemptions }: ExternalAuthorizationValue,
  context: SectionContext,
): Result<ExternalAuthorizationConfig> {
  const issues: Issue[] = []
  const configs: AuthorizerConfig[] = []
  for (const { spec, origin, failOpen } of authorizers) {
    const path = `${PATH}.backendRef`
    const found = context.upstream(spec.backendRef, origin)
    if (!found.ok) {
      issues.push(...found.issues.map((each) => under(path, each)))
      continue
    }
    const { upstream, authority, speaksHttp2 } = found.value
    const resource = resourceKey(origin.kind, origin.namespace, origin.name)
    if (spec.protocol === 'GRPC' && !speaksHttp2) {
      const message = `names ${upstream}, which is not said to speak gRPC`
      issues.push({
        ...issue('backend-not-resolved', path, message, 'name a port of a Service with appProtocol kubernetes.io/h2c'),
        resource,
      })
      continue
    }
    configs.push(authorizerOf(spec, failOpen, upstream, authority))
  }
  if (issues.length > 0) return fail(...issues)
  return readWire(ExternalAuthorizationConfig, { authorizers: configs, workload: context.workload, ...exemptions })
}

function authorizerOf(spec: ExtAuthSpec, failOpen: boolean, upstream: string, authority: string): AuthorizerConfig {
  const { protocol = 'HTTP', path, upstreamHeaders, clientHeaders, context = [], cache } = spec
  return {
    ...{ upstream, authority, failOpen },
    protocol: protocol === 'GRPC' ? 'grpc' : 'http',
    ...(path !== undefined && { path }),
    timeoutMs: msOf(spec.timeout ?? DEFAULT_TIMEOUT),
    requestHeaders: lowerCase(spec.requestHeaders ?? DEFAULT_REQUEST_HEADERS),
    ...(upstreamHeaders !== undefined && { upstreamHeaders: lowerCase(upstreamHeaders) }),
    ...(clientHeaders !== undefined && { clientHeaders: lowerCase(clientHeaders) }),
    context: context.map(({ name, value }) => [name, value]),
    ...(cache !== undefined && { cache: { key: [...cache.key], ttlMs: msOf(cache.ttl) } }),
  }
}

function lowerCase(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => name.toLowerCase()))]
}

/** What cannot be read was refused by `review`, and is refused by the config's own schema again. */
function msOf(text: string): number {
  const parsed = parseDuration(text)
  return parsed.ok ? parsed.value : 0
}
