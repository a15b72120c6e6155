import { parseDuration } from '../../model/duration.ts'
import { parseJsonPointer } from '../../model/match/json-pointer.ts'
import type { Origin } from '../../model/origin.ts'
import { resourceKey } from '../../model/resource.ts'
import { fail, type Issue, issue, type Result, under } from '../../model/result.ts'
import { secretText } from '../../model/secret.ts'
import { type Combined, defineSection, type Levels, type SectionContext } from '../../model/section.ts'
import { chooseWithExemptions } from '../exemptions/choose.ts'
import type { ExemptingSpec } from '../exemptions/combine.ts'
import { mayCarryClaims } from '../jwt/claim-headers.ts'
import type { TokenLocation } from '../jwt/config.ts'
import { DEFAULT_CLIENT_SECRET_KEY, type TokenIssuerSpec } from '../jwt/token-issuer.ts'
import { readWire } from '../read-wire.ts'
import { type IntrospectedIssuer, IntrospectionConfig } from './config.ts'
import { INTROSPECTION_SCHEMA } from './schema.ts'

/** What a policy says under `authentication` that this room goes by. */
export interface IntrospectionAuthenticationSpec extends ExemptingSpec {
  readonly introspection?: IntrospectionSpec
}

export interface IntrospectionSpec {
  readonly required?: boolean
  readonly issuers: readonly { readonly name: string }[]
  readonly from?: readonly { readonly header?: string; readonly scheme?: string; readonly cookie?: string }[]
  readonly forward?: 'Strip' | 'Keep'
  readonly claimHeaders?: readonly { readonly claim: string; readonly header: string }[]
}

export interface IntrospectionValue {
  readonly spec: IntrospectionSpec
  readonly origin: Origin
  readonly exemptions: Pick<IntrospectionConfig, 'exempt' | 'exemptWithin'>
}

const PATH = 'authentication.introspection'
const BEARER: TokenLocation = { kind: 'header', name: 'authorization', scheme: 'bearer' }
const DEFAULT_TIMEOUT = '1s'
const DEFAULT_MAX_AGE = '1m'
const DEFAULT_CLOCK_SKEW = '60s'

/** Single-valued: floor, then the most specific policy, then defaults. `exempt` is the one of all of `authentication`. */
export const introspectionSection = defineSection<
  IntrospectionAuthenticationSpec,
  IntrospectionValue,
  IntrospectionConfig
>({
  filter: 'introspection',
  name: PATH,
  schema: { authentication: INTROSPECTION_SCHEMA },
  pick(spec) {
    const authentication = spec['authentication'] as IntrospectionAuthenticationSpec | undefined
    const { introspection, exempt, allowExempt } = authentication ?? {}
    if (introspection === undefined && exempt === undefined && allowExempt === undefined) return undefined
    return {
      ...(introspection !== undefined && { introspection }),
      ...(exempt !== undefined && { exempt }),
      ...(allowExempt !== undefined && { allowExempt }),
    }
  },
  asks: ({ introspection }) => introspection !== undefined,
  review,
  combine,
  translate,
})

/** Exemptions are reviewed by the room that has them in its schema. */
function review({ introspection }: IntrospectionAuthenticationSpec): readonly Issue[] {
  const issues: Issue[] = []
  for (const [i, { claim, header }] of (introspection?.claimHeaders ?? []).entries()) {
    const path = `${PATH}.claimHeaders[${i}]`
    const pointer = parseJsonPointer(claim)
    if (!pointer.ok) issues.push(...pointer.issues.map((found) => under(`${path}.claim`, found)))
    if (!mayCarryClaims(header.toLowerCase())) {
      const message = `is ${header}, which has a meaning of its own`
      issues.push(issue('reserved-header', `${path}.header`, message, 'use a name such as x-user'))
    }
  }
  return issues
}

function combine(
  levels: Levels<IntrospectionAuthenticationSpec>,
  { protocol }: SectionContext,
): Combined<IntrospectionValue> | undefined {
  if (protocol === 'tcp') return undefined
  const chosen = chooseWithExemptions(levels, (spec) => spec.introspection !== undefined)
  if (chosen === undefined) return undefined
  const { winner, exemptions, ...combined } = chosen
  const { spec, origin } = winner
  return { ...combined, value: { spec: spec.introspection as IntrospectionSpec, origin, exemptions } }
}

function translate(
  { spec, origin, exemptions }: IntrospectionValue,
  context: SectionContext,
): Result<IntrospectionConfig> {
  const issues: Issue[] = []
  const issuers: IntrospectedIssuer[] = []
  const resource = resourceKey(origin.kind, origin.namespace, origin.name)
  for (const [i, { name }] of spec.issuers.entries()) {
    const found = issuerOf(name, context)
    if (found.ok) issuers.push(found.value)
    else issues.push(...found.issues.map((each) => ({ ...under(`${PATH}.issuers[${i}]`, each), resource })))
  }
  if (issues.length > 0) return fail(...issues)
  return readWire(IntrospectionConfig, {
    required: spec.required ?? true,
    issuers,
    locations: spec.from?.map(locationOf) ?? [BEARER],
    forward: spec.forward === 'Keep' ? 'keep' : 'strip',
    claimHeaders: (spec.claimHeaders ?? []).map(({ claim, header }) => ({ claim, header: header.toLowerCase() })),
    ...exemptions,
  })
}

function issuerOf(name: string, context: SectionContext): Result<IntrospectedIssuer> {
  const spec = context.tokenIssuer(name) as TokenIssuerSpec | undefined
  if (spec === undefined) {
    const message = `names the TokenIssuer ${name}, which does not exist or does not admit namespace ${context.namespace}`
    const fix = 'create it, or add the namespace to its allowedNamespaces'
    return fail(issue('unresolved-token-issuer', '', message, fix))
  }
  const { introspection } = spec
  if (introspection === undefined) {
    const message = `names the TokenIssuer ${name}, which does not say where to ask about its tokens`
    return fail(issue('unresolved-token-issuer', '', message, 'give it introspection'))
  }
  // Who may be asked, and by which secret, is the issuer's to say: the platform's, not the policy's.
  const by: Origin = { kind: 'TokenIssuer', name, generation: 0 }
  const upstream = context.upstream(introspection.backendRef, by)
  const authorization = authorizationOf(introspection, by, context)
  if (!upstream.ok || !authorization.ok) {
    return fail(...(upstream.ok ? [] : upstream.issues), ...(authorization.ok ? [] : authorization.issues))
  }
  const ms = (text: string) => {
    const parsed = parseDuration(text)
    return parsed.ok ? parsed.value : Number.NaN
  }
  const { maxTokenLifetimeSeconds } = context
  return {
    ok: true,
    value: {
      name,
      issuer: spec.issuer,
      audiences: [...spec.audiences],
      requiresAudience: introspection.requireAudience ?? true,
      clockSkewMs: ms(spec.clockSkew ?? DEFAULT_CLOCK_SKEW),
      ...(maxTokenLifetimeSeconds !== undefined && { maxLifetimeMs: Math.round(maxTokenLifetimeSeconds * 1_000) }),
      upstream: upstream.value.upstream,
      authority: upstream.value.authority,
      path: introspection.path,
      ...(authorization.value !== undefined
        ? { authorization: authorization.value }
        : introspection.clientId !== undefined && { clientId: introspection.clientId }),
      timeoutMs: ms(introspection.timeout ?? DEFAULT_TIMEOUT),
      maxAgeMs: ms(introspection.maxAge ?? DEFAULT_MAX_AGE),
    },
  }
}

/** RFC 6749, 2.3.1: both are form-encoded before they are put together. */
function authorizationOf(
  { clientId, clientSecretRef }: NonNullable<TokenIssuerSpec['introspection']>,
  by: Origin,
  { secret }: SectionContext,
): Result<string | undefined> {
  if (clientId === undefined || clientSecretRef === undefined) return { ok: true, value: undefined }
  const found = secret(clientSecretRef, by)
  if (!found.ok) return found
  const { namespace, name, key = DEFAULT_CLIENT_SECRET_KEY } = clientSecretRef
  const password = secretText(found.value, key)?.trimEnd()
  if (password === undefined || password === '') {
    return fail(issue('secret-not-resolved', '', `Secret ${namespace}/${name} has no ${key}`))
  }
  return { ok: true, value: `Basic ${btoa(`${formEncoded(clientId)}:${formEncoded(password)}`)}` }
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}

function locationOf({ header, scheme, cookie }: NonNullable<IntrospectionSpec['from']>[number]): TokenLocation {
  if (header === undefined) return { kind: 'cookie', name: cookie ?? '' }
  return {
    kind: 'header',
    name: header.toLowerCase(),
    ...(scheme !== undefined && { scheme: scheme.toLowerCase() }),
  }
}
