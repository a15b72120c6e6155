import { parseJsonPointer } from '../../model/match/json-pointer.ts'
import { parsePathPattern } from '../../model/match/path.ts'
import { formatOrigin, type Origin } from '../../model/origin.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import {
  type Attached,
  type Combined,
  compareAttached,
  defineSection,
  type Levels,
  type SectionContext,
} from '../../model/section.ts'
import { combineExemptions, type ExemptSpec } from '../exemptions/combine.ts'
import { readWire } from '../read-wire.ts'
import { mayCarryClaims } from './claim-headers.ts'
import { type IssuerConfig, JwtConfig, type TokenLocation } from './config.ts'
import { type Forward, forwardOf } from './forward.ts'
import { AUTHENTICATION_FLOOR_SCHEMA, AUTHENTICATION_SCHEMA } from './schema.ts'
import { issuerConfigOf, type TokenIssuerSpec } from './token-issuer.ts'

/** What a policy says under `authentication` that this room owns. */
export interface AuthenticationSpec {
  readonly jwt?: JwtSpec
  readonly exempt?: readonly ExemptSpec[]
  /** In a floor only. */
  readonly allowExempt?: readonly ExemptSpec[]
}

export interface JwtSpec {
  readonly required?: boolean
  readonly issuers?: readonly { readonly name: string }[]
  readonly from?: readonly { readonly header?: string; readonly scheme?: string; readonly cookie?: string }[]
  readonly forward?: Forward
  readonly claimHeaders?: readonly { readonly claim: string; readonly header: string }[]
  /** In a floor only. */
  readonly onlyIssuers?: readonly string[]
}

/** The config but for its issuers, which are names still. */
export interface JwtValue {
  readonly config: Omit<JwtConfig, 'issuers'>
  /** In order of their names. */
  readonly issuers: readonly NamedIssuer[]
}

interface NamedIssuer {
  readonly name: string
  readonly origin: Origin
}

/**
 * Issuers of floor and policies add up, unless a floor's `onlyIssuers` bounds them. A token is required if anybody says so.
 * Places of tokens are single-valued: floor, then the most specific policy that names any. `exempt` adds up, and counts
 * where each floor that speaks of authentication permits it.
 */
export const jwtSection = defineSection<AuthenticationSpec, JwtValue, JwtConfig>({
  filter: 'jwt',
  name: 'authentication.jwt',
  schema: { authentication: AUTHENTICATION_SCHEMA },
  floorSchema: { authentication: AUTHENTICATION_FLOOR_SCHEMA },
  pick(spec) {
    const authentication = spec['authentication'] as AuthenticationSpec | undefined
    if (authentication === undefined) return undefined
    const { jwt, exempt, allowExempt } = authentication
    if (jwt === undefined && exempt === undefined && allowExempt === undefined) return undefined
    return {
      ...(jwt !== undefined && { jwt }),
      ...(exempt !== undefined && { exempt }),
      ...(allowExempt !== undefined && { allowExempt }),
    }
  },
  review,
  combine,
  translate,
})

const BEARER: TokenLocation = { kind: 'header', name: 'authorization', scheme: 'bearer' }

function review({ jwt, exempt = [], allowExempt = [] }: AuthenticationSpec): readonly Issue[] {
  const issues: Issue[] = []
  const places = (jwt?.from ?? []).map((place) => JSON.stringify(placeKey(place)))
  for (const [i, place] of places.entries()) {
    if (places.indexOf(place) < i) {
      issues.push(issue('duplicate-place', `authentication.jwt.from[${i}]`, 'names a place that is named above'))
    }
  }
  const headers = new Set<string>()
  for (const [i, { claim, header }] of (jwt?.claimHeaders ?? []).entries()) {
    const path = `authentication.jwt.claimHeaders[${i}]`
    const pointer = parseJsonPointer(claim)
    if (!pointer.ok) issues.push(...pointer.issues.map((found) => under(`${path}.claim`, found)))
    const name = header.toLowerCase()
    if (!mayCarryClaims(name) || places.some((place) => place === JSON.stringify(placeKey({ header })))) {
      issues.push(
        issue(
          'reserved-header',
          `${path}.header`,
          `is ${header}, which has a meaning of its own`,
          'use a name such as x-user',
        ),
      )
    }
    if (headers.has(name))
      issues.push(issue('duplicate-header', `${path}.header`, `is ${header}, which is named above`))
    headers.add(name)
  }
  for (const [field, entries] of [
    ['exempt', exempt],
    ['allowExempt', allowExempt],
  ] as const) {
    for (const [i, { paths }] of entries.entries()) {
      for (const [j, text] of paths.entries()) {
        const pattern = parsePathPattern(text)
        if (pattern.ok) continue
        issues.push(...pattern.issues.map((found) => under(`authentication.${field}[${i}].paths[${j}]`, found)))
      }
    }
  }
  return issues
}

/** One header is one place whatever its scheme: a request has it once. */
function placeKey({ header, cookie }: { readonly header?: string; readonly cookie?: string }) {
  return header === undefined ? { cookie } : { header: header.toLowerCase() }
}

type NotApplied = NonNullable<Combined<unknown>['notApplied']>[number]

function combine(levels: Levels<AuthenticationSpec>, context: SectionContext): Combined<JwtValue> | undefined {
  const ordered: Levels<AuthenticationSpec> = {
    floor: levels.floor.toSorted(compareAttached),
    policies: levels.policies.toSorted(compareAttached),
    defaults: levels.defaults.toSorted(compareAttached),
  }
  const asking = whoAsks(ordered)
  if (asking.length === 0 || context.protocol === 'tcp') return undefined

  const notApplied: NotApplied[] = []
  const issuers = hear(ordered, ({ jwt }) => jwt?.issuers)
  const from = hear(ordered, ({ jwt }) => jwt?.from)
  const forward = hear(ordered, ({ jwt }) => jwt?.forward)
  const claimHeaders = hear(ordered, ({ jwt }) => jwt?.claimHeaders)
  const exempt = hear(ordered, (spec) => spec.exempt)
  const within = ordered.floor.filter(speaksOfAuthentication)
  notApplied.push(...exchangedElsewhere(forward, context))
  return {
    value: {
      config: {
        required: asking.some(({ spec }) => spec.jwt?.required !== false),
        locations: locationsOf(from, notApplied),
        forward: forwardOf(forward, context.role),
        claimHeaders: claimHeadersOf(claimHeaders, notApplied),
        ...combineExemptions(exempt, within, notApplied),
      },
      issuers: issuersOf(issuers, ordered.floor, notApplied),
    },
    origins: uniqueOrigins([...within, ...asking, ...[issuers, from, forward, claimHeaders, exempt].flat()]),
    ...(notApplied.length > 0 && { notApplied }),
  }
}

/**
 * Policies that speak of jwt at all, else the defaults that do; and floors that ask for tokens, not those that only bound
 * what others may ask.
 */
export function whoAsks<Spec extends Pick<AuthenticationSpec, 'jwt'>>({
  floor,
  policies,
  defaults,
}: Levels<Spec>): readonly Attached<Spec>[] {
  const floors = floor.filter(({ spec }) => spec.jwt?.required !== undefined || spec.jwt?.issuers !== undefined)
  const others = [policies, defaults].map((level) => level.filter(({ spec }) => spec.jwt !== undefined))
  const asking = others.find((level) => level.length > 0) ?? []
  // What a floor leaves open, those below it settle.
  return asking.length === 0 ? floors : [...floors.filter(({ spec }) => spec.jwt?.required !== undefined), ...asking]
}

/** One field, as said at one place. */
interface Said<Value> {
  readonly value: Value
  readonly origin: Origin
  readonly byFloor: boolean
}

/** Who says a field: floors, then policies, most specific first; defaults only where no policy does. */
function hear<Value>(
  { floor, policies, defaults }: Levels<AuthenticationSpec>,
  field: (spec: AuthenticationSpec) => Value | undefined,
): readonly Said<Value>[] {
  const said = (level: readonly Attached<AuthenticationSpec>[], byFloor: boolean): Said<Value>[] =>
    level.flatMap(({ spec, origin }) => {
      const value = field(spec)
      return value === undefined ? [] : [{ value, origin, byFloor }]
    })
  const byPolicies = said(policies, false)
  return [...said(floor, true), ...(byPolicies.length > 0 ? byPolicies : said(defaults, false))]
}

function issuersOf(
  said: readonly Said<readonly { readonly name: string }[]>[],
  floor: readonly Attached<AuthenticationSpec>[],
  notApplied: NotApplied[],
): readonly NamedIssuer[] {
  const bounds = floor.filter(({ spec }) => spec.jwt?.onlyIssuers !== undefined)
  const named = said.flatMap(({ value, origin }) => value.map(({ name }) => ({ name, origin })))
  const nominees =
    named.length > 0
      ? named
      : bounds.flatMap(({ spec, origin }) => (spec.jwt?.onlyIssuers ?? []).map((name) => ({ name, origin })))

  const issuers = new Map<string, NamedIssuer>()
  for (const nominee of nominees) {
    const { name, origin } = nominee
    const against = bounds.find(({ spec }) => spec.jwt?.onlyIssuers?.includes(name) === false)
    if (against !== undefined) {
      const reason = `the floor ${formatOrigin(against.origin)} does not admit the issuer ${name}`
      notApplied.push({ origin, path: 'authentication.jwt.issuers', reason, weakensFloor: true })
    } else if (!issuers.has(name)) issuers.set(name, nominee)
  }
  return [...issuers.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function locationsOf(said: readonly Said<NonNullable<JwtSpec['from']>>[], notApplied: NotApplied[]): TokenLocation[] {
  const [winner, ...losers] = said
  if (winner === undefined) return [BEARER]
  const locations = winner.value.map(locationOf)
  for (const { value, origin } of losers) {
    if (JSON.stringify(value.map(locationOf)) === JSON.stringify(locations)) continue
    const reason = `${formatOrigin(winner.origin)} says where tokens are`
    notApplied.push({ origin, path: 'authentication.jwt.from', reason })
  }
  return locations
}

function locationOf({ header, scheme, cookie }: NonNullable<JwtSpec['from']>[number]): TokenLocation {
  if (header === undefined) return { kind: 'cookie', name: cookie ?? '' }
  return {
    kind: 'header',
    name: header.toLowerCase(),
    ...(scheme !== undefined && { scheme: scheme.toLowerCase() }),
  }
}

/** Of those who say it here: what holds for a whole mesh is for its gateways. */
function exchangedElsewhere(said: readonly Said<Forward>[], { role }: SectionContext): readonly NotApplied[] {
  if (role === 'gateway') return []
  return said
    .filter(({ value, origin }) => value === 'Exchange' && origin.kind !== 'MeshSecurityPolicy')
    .map(({ origin }) => ({
      origin,
      path: 'authentication.jwt.forward',
      reason: 'only a gateway exchanges tokens, here they are taken off',
    }))
}

function claimHeadersOf(
  said: readonly Said<NonNullable<JwtSpec['claimHeaders']>>[],
  notApplied: NotApplied[],
): JwtConfig['claimHeaders'] {
  const byHeader = new Map<string, { readonly claim: string; readonly origin: Origin }>()
  for (const { value, origin } of said) {
    for (const { claim, header } of value) {
      const name = header.toLowerCase()
      const before = byHeader.get(name)
      if (before === undefined) byHeader.set(name, { claim, origin })
      else if (before.claim !== claim) {
        const reason = `${formatOrigin(before.origin)} says that ${name} holds ${before.claim}`
        notApplied.push({ origin, path: 'authentication.jwt.claimHeaders', reason })
      }
    }
  }
  return [...byHeader].map(([header, { claim }]) => ({ claim, header }))
}

function speaksOfAuthentication({ spec }: Attached<AuthenticationSpec>): boolean {
  return spec.jwt !== undefined || spec.exempt !== undefined || spec.allowExempt !== undefined
}

function uniqueOrigins(sources: readonly { readonly origin: Origin }[]): readonly Origin[] {
  return [...new Map(sources.map(({ origin }) => [JSON.stringify(origin), origin])).values()]
}

function translate({ config, issuers }: JwtValue, context: SectionContext): Result<JwtConfig> {
  if (issuers.length === 0) {
    return fail(
      issue(
        'no-token-issuer',
        'authentication.jwt.issuers',
        'names no TokenIssuer that the floor admits',
        'name one, here or in the defaults of a MeshSecurityPolicy',
      ),
    )
  }
  const issues: Issue[] = []
  const configs: IssuerConfig[] = []
  for (const { name, origin } of issuers) {
    const path = 'authentication.jwt.issuers'
    const resource = [origin.kind, origin.namespace, origin.name].filter((part) => part !== undefined).join('/')
    // Its schema has passed where it was stored; what does not make a config all the same is an issue below.
    const spec = context.tokenIssuer(name) as TokenIssuerSpec | undefined
    if (spec === undefined) {
      issues.push({
        ...issue(
          'unresolved-token-issuer',
          path,
          `names the TokenIssuer ${name}, which does not exist or does not admit namespace ${context.namespace}`,
          'create it, or add the namespace to its allowedNamespaces',
        ),
        resource,
      })
      continue
    }
    const issuer = issuerConfigOf(name, spec, context.maxTokenLifetimeSeconds)
    if (issuer.ok) configs.push(issuer.value)
    else issues.push(...issuer.issues.map((found) => ({ ...under('spec', found), resource: `TokenIssuer/${name}` })))
  }
  if (issues.length > 0) return fail(...issues)
  const whole = readWire(JwtConfig, { ...config, issuers: configs })
  return whole.ok ? ok(whole.value) : whole
}
