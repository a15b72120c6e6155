import { formatOrigin, type Origin } from '../../model/origin.ts'
import { resourceKey } from '../../model/resource.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import { type SecretReference, secretText } from '../../model/secret.ts'
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
import { mayCarryClaims } from '../jwt/claim-headers.ts'
import type { TokenLocation } from '../jwt/config.ts'
import { readWire } from '../read-wire.ts'
import { type ApiKey, ApiKeyConfig, MAX_KEYS } from './config.ts'
import { parseKeyEntry } from './key-entry.ts'
import { API_KEYS_SCHEMA } from './schema.ts'

/** What a policy says under `authentication` that this room goes by. */
export interface ApiKeyAuthenticationSpec extends ExemptingSpec {
  readonly apiKeys?: ApiKeysSpec
}

export interface ApiKeysSpec {
  readonly required?: boolean
  readonly secretRef?: SecretReference
  readonly from?: readonly { readonly header?: string; readonly scheme?: string; readonly cookie?: string }[]
  readonly clientHeader?: string
}

/** The config but for its keys, which are in Secrets still. */
export interface ApiKeyValue {
  readonly config: Omit<ApiKeyConfig, 'keys'>
  readonly secrets: readonly { readonly reference: SecretReference; readonly origin: Origin }[]
}

const PATH = 'authentication.apiKeys'

/**
 * A key is required if anybody says so. Secrets of policies add up, unless a floor names some: then those are all there are,
 * for whoever may write Secrets could otherwise write himself a key to what the floor closes. Places of keys and the header
 * for the application are single-valued: floor, then the most specific policy that names any. `exempt` is the one of all of
 * `authentication`, and counts where each floor that speaks of keys or exemptions permits it.
 */
export const apiKeySection = defineSection<ApiKeyAuthenticationSpec, ApiKeyValue, ApiKeyConfig>({
  filter: 'api-key',
  name: PATH,
  schema: { authentication: API_KEYS_SCHEMA },
  pick(spec) {
    const authentication = spec['authentication'] as ApiKeyAuthenticationSpec | undefined
    const { apiKeys, exempt, allowExempt } = authentication ?? {}
    if (apiKeys === undefined && exempt === undefined && allowExempt === undefined) return undefined
    return {
      ...(apiKeys !== undefined && { apiKeys }),
      ...(exempt !== undefined && { exempt }),
      ...(allowExempt !== undefined && { allowExempt }),
    }
  },
  asks: ({ apiKeys }) => apiKeys !== undefined,
  secretRefs: ({ apiKeys }) => (apiKeys?.secretRef === undefined ? [] : [apiKeys.secretRef]),
  review,
  combine,
  translate,
})

const X_API_KEY: TokenLocation = { kind: 'header', name: 'x-api-key' }

/** Exemptions are reviewed by the room that has them in its schema. */
function review({ apiKeys = {} }: ApiKeyAuthenticationSpec): readonly Issue[] {
  const issues: Issue[] = []
  const { from = [], clientHeader } = apiKeys
  const places = from.map(placeKey)
  for (const [i, place] of places.entries()) {
    if (places.indexOf(place) < i) {
      issues.push(issue('duplicate-place', `${PATH}.from[${i}]`, 'names a place that is named above'))
    }
  }
  if (clientHeader === undefined) return issues
  const name = clientHeader.toLowerCase()
  const holdsKeys = from.length === 0 ? name === X_API_KEY.name : places.includes(placeKey({ header: name }))
  if (!mayCarryClaims(name) || holdsKeys) {
    const message = `is ${clientHeader}, which has a meaning of its own`
    issues.push(issue('reserved-header', `${PATH}.clientHeader`, message, 'use a name such as x-client'))
  }
  return issues
}

/** One header is one place whatever its scheme: a request has it once. */
function placeKey({ header, cookie }: { readonly header?: string; readonly cookie?: string }): string {
  return header === undefined ? `cookie ${cookie}` : `header ${header.toLowerCase()}`
}

type NotApplied = NonNullable<Combined<unknown>['notApplied']>[number]

function combine(levels: Levels<ApiKeyAuthenticationSpec>, context: SectionContext): Combined<ApiKeyValue> | undefined {
  const ordered: Levels<ApiKeyAuthenticationSpec> = {
    floor: levels.floor.toSorted(compareAttached),
    policies: levels.policies.toSorted(compareAttached),
    defaults: levels.defaults.toSorted(compareAttached),
  }
  const asking = whoAsks(ordered)
  if (asking.length === 0 || context.protocol === 'tcp') return undefined

  const notApplied: NotApplied[] = []
  const secrets = hear(ordered, ({ apiKeys }) => apiKeys?.secretRef)
  const from = hear(ordered, ({ apiKeys }) => apiKeys?.from)
  const clientHeader = hear(ordered, ({ apiKeys }) => apiKeys?.clientHeader)
  const exempt = hear(ordered, (spec) => spec.exempt).map(({ value, ...said }) => ({
    ...said,
    // One that does not parse exempts nothing here; the review of the policy tells of it.
    value: value.filter(
      ({ methods = [], paths }) => compileExemptions([{ methods: [...methods], paths: [...paths] }], []).ok,
    ),
  }))
  const within = ordered.floor
  const locations = locationsOf(from, notApplied)
  const header = clientHeaderOf(clientHeader, locations, notApplied)
  return {
    value: {
      config: {
        required: asking.some(({ spec }) => spec.apiKeys?.required !== false),
        locations,
        ...(header !== undefined && { clientHeader: header }),
        ...combineExemptions(exempt, within, notApplied),
      },
      secrets: secretsOf(secrets, notApplied),
    },
    origins: uniqueOrigins([...within, ...asking, ...[secrets, from, clientHeader, exempt].flat()]),
    ...(notApplied.length > 0 && { notApplied }),
  }
}

/** Policies that speak of keys, else the defaults that do; and floors that ask for one. */
function whoAsks({
  floor,
  policies,
  defaults,
}: Levels<ApiKeyAuthenticationSpec>): readonly Attached<ApiKeyAuthenticationSpec>[] {
  const [floors = [], ofPolicies = [], ofDefaults = []] = [floor, policies, defaults].map((level) =>
    level.filter(({ spec }) => spec.apiKeys !== undefined),
  )
  return [...floors, ...(ofPolicies.length > 0 ? ofPolicies : ofDefaults)]
}

/** One field, as said at one place. */
interface Said<Value> {
  readonly value: Value
  readonly origin: Origin
  readonly byFloor: boolean
}

/** Who says a field: floors, then policies, most specific first; defaults only where no policy does. */
function hear<Value>(
  { floor, policies, defaults }: Levels<ApiKeyAuthenticationSpec>,
  field: (spec: ApiKeyAuthenticationSpec) => Value | undefined,
): readonly Said<Value>[] {
  const said = (level: readonly Attached<ApiKeyAuthenticationSpec>[], byFloor: boolean): Said<Value>[] =>
    level.flatMap(({ spec, origin }) => {
      const value = field(spec)
      return value === undefined ? [] : [{ value, origin, byFloor }]
    })
  const byPolicies = said(policies, false)
  return [...said(floor, true), ...(byPolicies.length > 0 ? byPolicies : said(defaults, false))]
}

function secretsOf(said: readonly Said<SecretReference>[], notApplied: NotApplied[]): ApiKeyValue['secrets'] {
  const floor = said.find(({ byFloor }) => byFloor)
  const counting = floor === undefined ? said : said.filter(({ byFloor }) => byFloor)
  for (const { origin } of said.filter((each) => !counting.includes(each))) {
    const reason = `the floor ${formatOrigin((floor ?? { origin }).origin)} says which keys there are`
    notApplied.push({ origin, path: `${PATH}.secretRef`, reason, weakensFloor: true })
  }
  return counting.map(({ value, origin }) => ({ reference: value, origin }))
}

function locationsOf(
  said: readonly Said<NonNullable<ApiKeysSpec['from']>>[],
  notApplied: NotApplied[],
): TokenLocation[] {
  const [winner, ...losers] = said
  if (winner === undefined) return [X_API_KEY]
  const locations = winner.value.map(locationOf)
  for (const { value, origin } of losers) {
    if (JSON.stringify(value.map(locationOf)) === JSON.stringify(locations)) continue
    notApplied.push({ origin, path: `${PATH}.from`, reason: `${formatOrigin(winner.origin)} says where keys are` })
  }
  return locations
}

function locationOf({ header, scheme, cookie }: NonNullable<ApiKeysSpec['from']>[number]): TokenLocation {
  if (header === undefined) return { kind: 'cookie', name: cookie ?? '' }
  return {
    kind: 'header',
    name: header.toLowerCase(),
    ...(scheme !== undefined && { scheme: scheme.toLowerCase() }),
  }
}

/** A header that holds keys here, by what another policy says, tells nothing. */
function clientHeaderOf(
  said: readonly Said<string>[],
  locations: readonly TokenLocation[],
  notApplied: NotApplied[],
): string | undefined {
  const holdsKeys = (name: string) => locations.some((place) => place.kind === 'header' && place.name === name)
  const [winner, ...losers] = said.filter(({ value, origin }) => {
    if (!holdsKeys(value.toLowerCase())) return true
    notApplied.push({ origin, path: `${PATH}.clientHeader`, reason: `keys are in the header ${value}` })
    return false
  })
  for (const { value, origin } of losers) {
    if (value.toLowerCase() === winner?.value.toLowerCase()) continue
    const reason = `${formatOrigin((winner as Said<string>).origin)} says ${(winner as Said<string>).value}`
    notApplied.push({ origin, path: `${PATH}.clientHeader`, reason })
  }
  return winner?.value.toLowerCase()
}

function uniqueOrigins(sources: readonly { readonly origin: Origin }[]): readonly Origin[] {
  return [...new Map(sources.map(({ origin }) => [JSON.stringify(origin), origin])).values()]
}

function translate({ config, secrets }: ApiKeyValue, context: SectionContext): Result<ApiKeyConfig> {
  const path = `${PATH}.secretRef`
  if (secrets.length === 0) {
    return fail(
      issue(
        'no-api-keys',
        path,
        'names no Secret of keys',
        'name one, here or in the defaults of a MeshSecurityPolicy',
      ),
    )
  }
  const issues: Issue[] = []
  const keys = new Map<string, ApiKey>()
  for (const { reference, origin } of secrets) {
    const resource = resourceKey(origin.kind, origin.namespace, origin.name)
    const tell = (found: Issue) => issues.push({ ...under(path, found), resource })
    const secret = context.secret(reference, origin)
    if (!secret.ok) {
      secret.issues.forEach(tell)
      continue
    }
    for (const name of Object.keys(secret.value.data).sort()) {
      const text = secretText(secret.value, name)
      const entry = text === undefined ? undefined : parseKeyEntry(text)
      if (entry?.ok !== true) {
        const [first] = entry === undefined ? [] : entry.issues
        const what = first?.message ?? 'is no text'
        tell(issue('malformed-api-key', '', `names Secret ${reference.name}, whose entry ${name} ${what}`, first?.fix))
        continue
      }
      const key = entry.value
      const before = keys.get(key.sha256)
      if (before === undefined) keys.set(key.sha256, key)
      else if (before.client !== key.client) {
        const message = `names Secret ${reference.name}, whose entry ${name} is the key of ${before.client} too`
        tell(issue('duplicate-api-key', '', message, 'make a key for each client'))
      } else keys.set(key.sha256, sooner(before, key))
    }
  }
  if (keys.size > MAX_KEYS) {
    const message = `names Secrets with ${keys.size} keys, and ${MAX_KEYS} is all that one place takes`
    issues.push(issue('too-many-api-keys', path, message, 'revoke those that nobody uses'))
  }
  if (issues.length > 0) return fail(...issues)
  const whole = readWire(ApiKeyConfig, { ...config, keys: [...keys.values()] })
  return whole.ok ? ok(whole.value) : whole
}

/** Of two entries for one key, the one that ends first. */
function sooner(a: ApiKey, b: ApiKey): ApiKey {
  return (a.expiresAtMs ?? Number.POSITIVE_INFINITY) <= (b.expiresAtMs ?? Number.POSITIVE_INFINITY) ? a : b
}
