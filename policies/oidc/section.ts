import type { BackendReference } from '../../model/backend-calls.ts'
import { parseDuration } from '../../model/duration.ts'
import type { Origin } from '../../model/origin.ts'
import { resourceKey } from '../../model/resource.ts'
import { fail, type Issue, issue, type Result, under } from '../../model/result.ts'
import { type SecretReference, secretText } from '../../model/secret.ts'
import { type Combined, defineSection, type Levels, type SectionContext } from '../../model/section.ts'
import { chooseWithExemptions } from '../exemptions/choose.ts'
import type { ExemptingSpec } from '../exemptions/combine.ts'
import { DEFAULT_CLIENT_SECRET_KEY, issuerConfigOf, type TokenIssuerSpec } from '../jwt/token-issuer.ts'
import { readWire } from '../read-wire.ts'
import {
  MAX_COOKIE_KEYS,
  MAX_SESSION_MS,
  MAX_TIMEOUT_MS,
  MIN_COOKIE_KEY_CHARACTERS,
  MIN_SESSION_MS,
  OidcConfig,
} from './config.ts'
import { OIDC_SCHEMA } from './schema.ts'

/** What a policy says under `authentication` that this room goes by. */
export interface OidcAuthenticationSpec extends ExemptingSpec {
  readonly oidc?: OidcSpec
}

export interface OidcSpec {
  readonly required?: boolean
  readonly issuer: { readonly name: string }
  readonly provider: {
    readonly backendRef: BackendReference
    readonly moreBackendRefs?: readonly BackendReference[]
    readonly discoveryPath?: string
    readonly authorizationEndpoint?: string
    readonly endSessionEndpoint?: string
    readonly timeout?: string
  }
  readonly clientId: string
  readonly clientSecretRef?: SecretReference & { readonly key?: string }
  readonly clientAuthentication?: 'Basic' | 'Post'
  readonly scopes?: readonly string[]
  readonly parameters?: readonly { readonly name: string; readonly value: string }[]
  readonly cookieKeysRef: SecretReference
  readonly cookieName?: string
  readonly maxAge?: string
  readonly paths?: {
    readonly callback?: string
    readonly login?: string
    readonly logout?: string
    readonly backChannelLogout?: string
    readonly afterLogout?: string
  }
  readonly trustedOrigins?: readonly string[]
}

export interface OidcValue {
  readonly spec: OidcSpec
  readonly origin: Origin
  readonly exemptions: Pick<OidcConfig, 'exempt' | 'exemptWithin'>
}

const PATH = 'authentication.oidc'
const DEFAULT_TIMEOUT = '5s'
const DEFAULT_MAX_AGE = '8h'
const DEFAULT_PATHS = {
  callback: '/oauth2/callback',
  login: '/oauth2/login',
  logout: '/oauth2/logout',
  backChannelLogout: '/oauth2/backchannel-logout',
}

/** Parameters of an authorization request that the mesh alone sets, and those that would change how its answer comes. */
const OWN_PARAMETERS: ReadonlySet<string> = new Set([
  ...[
    'client_id',
    'response_type',
    'redirect_uri',
    'scope',
    'state',
    'nonce',
    'code_challenge',
    'code_challenge_method',
  ],
  ...['response_mode', 'request', 'request_uri', 'registration'],
])

/** Single-valued: floor, then the most specific policy, then defaults. `exempt` is the one of all of `authentication`. */
export const oidcSection = defineSection<OidcAuthenticationSpec, OidcValue, OidcConfig>({
  filter: 'oidc',
  name: PATH,
  schema: { authentication: OIDC_SCHEMA },
  pick(spec) {
    const authentication = spec['authentication'] as OidcAuthenticationSpec | undefined
    const { oidc, exempt, allowExempt } = authentication ?? {}
    if (oidc === undefined && exempt === undefined && allowExempt === undefined) return undefined
    return {
      ...(oidc !== undefined && { oidc }),
      ...(exempt !== undefined && { exempt }),
      ...(allowExempt !== undefined && { allowExempt }),
    }
  },
  asks: ({ oidc }) => oidc !== undefined,
  review,
  secretRefs({ oidc }) {
    if (oidc === undefined) return []
    return [oidc.cookieKeysRef, ...(oidc.clientSecretRef === undefined ? [] : [placeOf(oidc.clientSecretRef)])]
  },
  combine,
  translate,
})

/** Exemptions are reviewed by the room that has them in its schema. */
function review({ oidc }: OidcAuthenticationSpec): readonly Issue[] {
  if (oidc === undefined) return []
  const issues: Issue[] = []
  const duration = (field: string, text: string, minMs: number, maxMs: number, range: string) => {
    const parsed = parseDuration(text)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under(`${PATH}.${field}`, found)))
    else if (parsed.value < minMs || parsed.value > maxMs) {
      issues.push(issue('out-of-range', `${PATH}.${field}`, `is not from ${range}`))
    }
  }
  duration('provider.timeout', oidc.provider.timeout ?? DEFAULT_TIMEOUT, 1, MAX_TIMEOUT_MS, '1ms to 8s')
  duration('maxAge', oidc.maxAge ?? DEFAULT_MAX_AGE, MIN_SESSION_MS, MAX_SESSION_MS, '1m to 720h')
  for (const [i, { name }] of (oidc.parameters ?? []).entries()) {
    if (!OWN_PARAMETERS.has(name)) continue
    const message = `is ${name}, which the mesh sets by itself`
    issues.push(issue('reserved-parameter', `${PATH}.parameters[${i}].name`, message, 'leave it out'))
  }
  const paths = Object.entries({ ...DEFAULT_PATHS, ...ownPaths(oidc) })
  for (const [i, [field, path]] of paths.entries()) {
    if (!paths.slice(0, i).some(([, before]) => before === path)) continue
    issues.push(issue('duplicate-path', `${PATH}.paths.${field}`, `is ${path}, which is another of its paths too`))
  }
  return issues
}

function combine(
  levels: Levels<OidcAuthenticationSpec>,
  { protocol }: SectionContext,
): Combined<OidcValue> | undefined {
  if (protocol === 'tcp') return undefined
  const chosen = chooseWithExemptions(levels, (spec) => spec.oidc !== undefined)
  if (chosen === undefined) return undefined
  const { winner, exemptions, ...combined } = chosen
  return { ...combined, value: { spec: winner.spec.oidc as OidcSpec, origin: winner.origin, exemptions } }
}

function translate({ spec, origin, exemptions }: OidcValue, context: SectionContext): Result<OidcConfig> {
  const resource = resourceKey(origin.kind, origin.namespace, origin.name)
  const issues: Issue[] = []
  const found = <T>(path: string, result: Result<T>): T | undefined => {
    if (result.ok) return result.value
    issues.push(...result.issues.map((each) => ({ ...under(path === '' ? PATH : `${PATH}.${path}`, each), resource })))
    return undefined
  }
  if (context.role !== 'gateway') {
    const message = 'has people log in at a service, whose clients are other services'
    const fix = 'target the Gateway, or a route of it, and ask for a token here by authentication.jwt'
    return fail({ ...issue('not-at-a-gateway', PATH, message, fix), resource })
  }
  const { provider } = spec
  const issuer = found('issuer', issuerOf(spec, context))
  const upstreams = [
    found('provider.backendRef', context.upstream(provider.backendRef, origin)),
    ...(provider.moreBackendRefs ?? []).map((reference, i) =>
      found(`provider.moreBackendRefs[${i}]`, context.upstream(reference, origin)),
    ),
  ]
  const clientSecret = found('clientSecretRef', clientSecretOf(spec, origin, context))
  const cookieKeys = found('cookieKeysRef', cookieKeysOf(spec, origin, context))
  if (issues.length > 0 || issuer === undefined) return fail(...issues)
  const { authorizationEndpoint, endSessionEndpoint } = provider
  const { afterLogout, ...paths } = ownPaths(spec)
  return readWire(OidcConfig, {
    required: spec.required ?? true,
    issuer,
    upstreams: upstreams.map((each) => ({ upstream: each?.upstream, authority: each?.authority })),
    discoveryPath: provider.discoveryPath ?? discoveryPathOf(issuer.issuer),
    ...(authorizationEndpoint !== undefined && { authorizationEndpoint }),
    ...(endSessionEndpoint !== undefined && { endSessionEndpoint }),
    timeoutMs: ms(provider.timeout ?? DEFAULT_TIMEOUT),
    clientId: spec.clientId,
    ...(clientSecret !== undefined && clientSecret !== '' && { clientSecret }),
    clientAuthentication: spec.clientSecretRef === undefined ? 'none' : authentication(spec.clientAuthentication),
    scopes: [...new Set(['openid', ...(spec.scopes ?? [])])],
    parameters: (spec.parameters ?? []).map(({ name, value }) => ({ name, value })),
    cookieKeys,
    cookieName: spec.cookieName ?? 'hauberk',
    maxAgeMs: ms(spec.maxAge ?? DEFAULT_MAX_AGE),
    paths: { ...DEFAULT_PATHS, ...paths },
    ...(afterLogout !== undefined && { afterLogout }),
    trustedOrigins: [...(spec.trustedOrigins ?? [])],
    ...exemptions,
  })
}

/** ID tokens are for the client, and may live as long as their issuer says: nobody calls anything with them. */
function issuerOf({ issuer: { name }, clientId }: OidcSpec, context: SectionContext): Result<OidcConfig['issuer']> {
  const spec = context.tokenIssuer(name) as TokenIssuerSpec | undefined
  if (spec === undefined) {
    const message = `names the TokenIssuer ${name}, which does not exist or does not admit namespace ${context.namespace}`
    return fail(
      issue('unresolved-token-issuer', '', message, 'create it, or add the namespace to its allowedNamespaces'),
    )
  }
  if (!URL.canParse(spec.issuer) || !spec.issuer.startsWith('https://')) {
    const message = `names the TokenIssuer ${name}, whose issuer is no URL by HTTPS: it is no OpenID provider`
    return fail(issue('unresolved-token-issuer', '', message))
  }
  const config = issuerConfigOf(name, spec, undefined)
  return config.ok ? { ok: true, value: { ...config.value, audiences: [clientId], types: [''] } } : config
}

function clientSecretOf({ clientSecretRef }: OidcSpec, by: Origin, { secret }: SectionContext): Result<string> {
  if (clientSecretRef === undefined) return { ok: true, value: '' }
  const found = secret(placeOf(clientSecretRef), by)
  if (!found.ok) return found
  const { name, key = DEFAULT_CLIENT_SECRET_KEY } = clientSecretRef
  const text = secretText(found.value, key)?.trimEnd()
  if (text === undefined || text === '') return fail(issue('secret-not-resolved', '', `Secret ${name} has no ${key}`))
  return { ok: true, value: text }
}

/** By name, the last first: that one seals. */
function cookieKeysOf({ cookieKeysRef }: OidcSpec, by: Origin, { secret }: SectionContext): Result<readonly string[]> {
  const found = secret(cookieKeysRef, by)
  if (!found.ok) return found
  const names = Object.keys(found.value.data).sort(BY_NAME.compare).reverse()
  const keys = names.map((name) => secretText(found.value, name)?.trimEnd() ?? '')
  const short = names.find((_, i) => (keys[i] ?? '').length < MIN_COOKIE_KEY_CHARACTERS)
  if (names.length === 0 || names.length > MAX_COOKIE_KEYS) {
    const message = `Secret ${cookieKeysRef.name} has ${names.length} keys, and not 1 to ${MAX_COOKIE_KEYS}`
    return fail(issue('secret-not-resolved', '', message))
  }
  if (short !== undefined) {
    const message = `Secret ${cookieKeysRef.name}: ${short} is shorter than ${MIN_COOKIE_KEY_CHARACTERS} characters`
    return fail(issue('secret-not-resolved', '', message, 'make one by openssl rand -base64 32'))
  }
  return { ok: true, value: keys }
}

/** `key-10` comes after `key-9`. */
const BY_NAME = new Intl.Collator('en', { numeric: true })

function placeOf({ name, namespace }: SecretReference): SecretReference {
  return { name, ...(namespace !== undefined && { namespace }) }
}

function ownPaths({ paths = {} }: OidcSpec): NonNullable<OidcSpec['paths']> {
  return Object.fromEntries(Object.entries(paths).filter(([, path]) => path !== undefined))
}

/** OpenID Connect Discovery 1.0, 4. */
function discoveryPathOf(issuer: string): string {
  const { pathname } = new URL(issuer)
  return `${pathname.endsWith('/') ? pathname.slice(0, -1) : pathname}/.well-known/openid-configuration`
}

function authentication(said: OidcSpec['clientAuthentication']): OidcConfig['clientAuthentication'] {
  return said === 'Post' ? 'post' : 'basic'
}

function ms(text: string): number {
  const parsed = parseDuration(text)
  return parsed.ok ? parsed.value : Number.NaN
}
