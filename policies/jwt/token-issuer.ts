import type { BackendReference } from '../../model/backend-calls.ts'
import { DURATION_PATTERN, parseDuration } from '../../model/duration.ts'
import { parseLabelSelector } from '../../model/match/labels.ts'
import type { LabelSelector } from '../../model/resource.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'
import { backendRefSchema } from '../backend-ref-schema.ts'
import { readWire } from '../read-wire.ts'
import { ALGORITHMS, type Algorithm, DEFAULT_ALGORITHMS } from './algorithms.ts'
import { IssuerConfig, MAX_CLAIMS_DEPTH, MAX_CLOCK_SKEW_MS, MAX_TOKEN_BYTES } from './config.ts'
import { normaliseType } from './token-type.ts'
import { usableKey } from './usable-key.ts'

/** `spec` of a TokenIssuer once its schema has passed. Whatever the schema has a default for may be absent all the same. */
export interface TokenIssuerSpec {
  readonly issuer: string
  readonly audiences: readonly string[]
  /** Absent: its tokens say nothing by themselves, and `introspection` is there. */
  readonly jwks?: JwksSource
  readonly introspection?: IntrospectionSource
  readonly algorithms?: readonly Algorithm[]
  readonly typ?: readonly string[]
  readonly clockSkew?: string
  readonly allowedNamespaces?: AllowedNamespaces
  readonly limits?: { readonly tokenBytes?: number; readonly depth?: number }
  readonly cache?: { readonly maxEntries?: number; readonly maxBytes?: number; readonly maxAge?: string }
}

/** Exactly one of the three. */
export interface JwksSource {
  readonly uri?: string
  readonly inline?: { readonly keys: readonly Readonly<Record<string, unknown>>[] }
  readonly secretRef?: { readonly namespace: string; readonly name: string; readonly key?: string }
}

/** Whom to ask about tokens that say nothing by themselves (RFC 7662). */
export interface IntrospectionSource {
  readonly backendRef: BackendReference
  readonly path: string
  readonly clientId?: string
  readonly clientSecretRef?: { readonly namespace: string; readonly name: string; readonly key?: string }
  readonly timeout?: string
  readonly maxAge?: string
  readonly requireAudience?: boolean
}

/** The key of a Secret that holds a client secret when `clientSecretRef` names none. */
export const DEFAULT_CLIENT_SECRET_KEY = 'client-secret'

const MAX_INTROSPECTION_TIMEOUT_MS = 5_000
const MAX_INTROSPECTION_AGE_MS = 3_600_000

/** Absent: every namespace. Both: either admits. */
export interface AllowedNamespaces {
  readonly names?: readonly string[]
  readonly selector?: LabelSelector
}

/** The key of a Secret that holds a JWKS when `secretRef` names none. */
export const DEFAULT_SECRET_KEY = 'jwks.json'

/** Access tokens of RFC 9068, and the many issuers that say `JWT`. An absent `typ` has to be allowed by name. */
const DEFAULT_TYPES = ['at+jwt', 'JWT'] as const
const DEFAULT_CLOCK_SKEW = '60s'
const DEFAULT_CACHE = { maxEntries: 60_000, maxBytes: 16_777_216, maxAge: '5m' } as const

/** Whether policies of a namespace may name this issuer. A selector that does not parse admits nobody. */
export function admitsNamespace(
  { allowedNamespaces }: TokenIssuerSpec,
  namespace: { readonly name: string; readonly labels: Readonly<Record<string, string>> | undefined },
): boolean {
  if (allowedNamespaces === undefined) return true
  const { names = [], selector } = allowedNamespaces
  if (names.includes(namespace.name)) return true
  if (selector === undefined) return false
  const selects = parseLabelSelector(selector)
  return selects.ok && selects.value(namespace.labels)
}

/** What one issuer's spec shows to be wrong and a schema cannot see. Paths are below `spec`. */
export function reviewTokenIssuer(spec: TokenIssuerSpec): readonly Issue[] {
  const issues: Issue[] = []
  const { allowedNamespaces, jwks, introspection } = spec
  if (allowedNamespaces?.selector !== undefined) {
    const parsed = parseLabelSelector(allowedNamespaces.selector)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under('allowedNamespaces.selector', found)))
  }
  const skew = parseDuration(spec.clockSkew ?? DEFAULT_CLOCK_SKEW)
  if (!skew.ok) issues.push(...skew.issues.map((found) => under('clockSkew', found)))
  const duration = (field: 'timeout' | 'maxAge', maxMs: number) => {
    const text = introspection?.[field]
    if (text === undefined) return
    const parsed = parseDuration(text)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under(`introspection.${field}`, found)))
    else if (parsed.value > maxMs || (field === 'timeout' && parsed.value < 1)) {
      issues.push(issue('out-of-range', `introspection.${field}`, `is not at most ${maxMs / 1_000}s`))
    }
  }
  duration('timeout', MAX_INTROSPECTION_TIMEOUT_MS)
  duration('maxAge', MAX_INTROSPECTION_AGE_MS)
  const keys = (jwks?.inline?.keys ?? []).map((key) => usableKey(key, spec.algorithms ?? DEFAULT_ALGORITHMS))
  // One key that is of no use does no harm beside one that is; none that is closes whatever names this issuer.
  const severity = keys.some(({ ok }) => ok) ? 'warning' : 'error'
  for (const [i, key] of keys.entries()) {
    if (!key.ok) issues.push({ ...issue('unusable-key', `jwks.inline.keys[${i}]`, key.reason), severity })
  }
  return issues
}

/** How tokens of this issuer are judged, for the wire. */
export function issuerConfigOf(
  name: string,
  spec: TokenIssuerSpec,
  maxTokenLifetimeSeconds: number | undefined,
): Result<IssuerConfig> {
  if (spec.jwks === undefined) {
    const message = 'has no jwks: its tokens are not signed for everybody to verify'
    return fail(issue('unresolved-token-issuer', '', message, 'ask for them by authentication.introspection'))
  }
  const skew = parseDuration(spec.clockSkew ?? DEFAULT_CLOCK_SKEW)
  const maxAge = parseDuration(spec.cache?.maxAge ?? DEFAULT_CACHE.maxAge)
  const issues = [
    ...(skew.ok ? [] : skew.issues.map((found) => under('clockSkew', found))),
    ...(maxAge.ok ? [] : maxAge.issues.map((found) => under('cache.maxAge', found))),
  ]
  if (!skew.ok || !maxAge.ok) return fail(...issues)
  const config = readWire(IssuerConfig, {
    name,
    issuer: spec.issuer,
    audiences: spec.audiences,
    algorithms: spec.algorithms ?? DEFAULT_ALGORITHMS,
    types: typesOf(spec.typ ?? DEFAULT_TYPES),
    clockSkewMs: skew.value,
    ...(maxTokenLifetimeSeconds !== undefined && { maxLifetimeMs: Math.round(maxTokenLifetimeSeconds * 1_000) }),
    maxTokenBytes: spec.limits?.tokenBytes ?? MAX_TOKEN_BYTES,
    maxDepth: spec.limits?.depth ?? MAX_CLAIMS_DEPTH,
    cache: {
      maxEntries: spec.cache?.maxEntries ?? DEFAULT_CACHE.maxEntries,
      maxBytes: spec.cache?.maxBytes ?? DEFAULT_CACHE.maxBytes,
      maxAgeMs: maxAge.value,
    },
  })
  return config.ok ? ok(config.value) : config
}

/** What is no list of strings is left for the config's own schema to refuse. */
function typesOf(typ: unknown): unknown {
  return Array.isArray(typ) ? typ.map((one) => (typeof one === 'string' ? normaliseType(one) : one)) : typ
}

const DNS_LABEL = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'
const DNS_SUBDOMAIN = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'
const BASE64URL = '^[A-Za-z0-9_-]+$'

const keySchema: JsonSchema = {
  type: 'object',
  description:
    'A public JSON Web Key (RFC 7517). Private members and symmetric keys are not part of it: what is published in a policy is no secret.',
  required: ['kty'],
  properties: {
    kty: { type: 'string', enum: ['EC', 'OKP', 'RSA'], description: 'kty is the type of the key.' },
    kid: {
      type: 'string',
      minLength: 1,
      maxLength: 256,
      description:
        'kid is the name that tokens call the key by. Default: none; then a token without kid is tried against it.',
    },
    alg: {
      type: 'string',
      enum: [...ALGORITHMS],
      description:
        'alg fixes the algorithm of the key. Default: what the type and curve say; an RSA key is for the first RSA algorithm in spec.algorithms.',
    },
    use: { type: 'string', enum: ['sig'], description: 'use says what the key is for. Default: signatures.' },
    key_ops: {
      type: 'array',
      maxItems: 1,
      items: { type: 'string', enum: ['verify'] },
      'x-kubernetes-list-type': 'set',
      description: 'key_ops says what may be done with the key. Default: verify.',
    },
    crv: {
      type: 'string',
      enum: ['P-256', 'P-384', 'P-521', 'Ed25519'],
      description: 'crv is the curve of an EC or OKP key. No default.',
    },
    x: { type: 'string', pattern: BASE64URL, maxLength: 128, description: 'x is a coordinate of an EC or OKP key.' },
    y: { type: 'string', pattern: BASE64URL, maxLength: 128, description: 'y is a coordinate of an EC key.' },
    n: {
      type: 'string',
      pattern: BASE64URL,
      maxLength: 1400,
      description: 'n is the modulus of an RSA key, 2048 to 8192 bits.',
    },
    e: { type: 'string', pattern: BASE64URL, maxLength: 16, description: 'e is the exponent of an RSA key.' },
  },
  'x-kubernetes-validations': [
    { rule: "self.kty != 'RSA' || (has(self.n) && has(self.e))", message: 'an RSA key has n and e' },
    {
      rule: "self.kty != 'EC' || (has(self.crv) && has(self.x) && has(self.y))",
      message: 'an EC key has crv, x and y',
    },
    { rule: "self.kty != 'OKP' || (has(self.crv) && has(self.x))", message: 'an OKP key has crv and x' },
  ],
}

const jwksSchema: JsonSchema = {
  type: 'object',
  description:
    'jwks says where the public keys of the issuer are: exactly one of uri, inline and secretRef. Without keys, tokens of this issuer are answered 503.',
  properties: {
    uri: {
      type: 'string',
      maxLength: 2048,
      pattern: '^https?://[^\\s/?#@]+(/[^\\s#]*)?$',
      description:
        'uri is where the operator fetches a JWKS: http:// and the name of a Service of the mesh (fetched over mesh mTLS), or https:// and a host that MeshConfig egress names. Refreshed in the background, and when a token names an unknown key at most once in 30 s. No default.',
    },
    inline: {
      type: 'object',
      description: 'inline holds the keys themselves. No default.',
      required: ['keys'],
      properties: {
        keys: {
          type: 'array',
          minItems: 1,
          maxItems: 16,
          items: keySchema,
          'x-kubernetes-list-type': 'atomic',
          description: 'keys are 1 to 16 public keys.',
        },
      },
    },
    secretRef: {
      type: 'object',
      description:
        'secretRef names a Secret that holds a JWKS of public keys. No default. When it is missing, policies that name this issuer refuse.',
      required: ['namespace', 'name'],
      properties: {
        namespace: {
          type: 'string',
          minLength: 1,
          maxLength: 63,
          pattern: DNS_LABEL,
          description: 'namespace of the Secret. No default.',
        },
        name: {
          type: 'string',
          minLength: 1,
          maxLength: 253,
          pattern: DNS_SUBDOMAIN,
          description: 'name of the Secret. No default.',
        },
        key: {
          type: 'string',
          minLength: 1,
          maxLength: 253,
          pattern: '^[-._a-zA-Z0-9]+$',
          default: DEFAULT_SECRET_KEY,
          description: `key of the Secret whose value is the JWKS. Default: ${DEFAULT_SECRET_KEY}.`,
        },
      },
    },
  },
  'x-kubernetes-validations': [
    {
      rule: '(has(self.uri) ? 1 : 0) + (has(self.inline) ? 1 : 0) + (has(self.secretRef) ? 1 : 0) == 1',
      message: 'exactly one of uri, inline and secretRef must be set',
    },
  ],
}

const secretSchema = (description: string, key: JsonSchema): JsonSchema => ({
  type: 'object',
  description,
  required: ['namespace', 'name'],
  properties: {
    namespace: {
      type: 'string',
      minLength: 1,
      maxLength: 63,
      pattern: DNS_LABEL,
      description: 'namespace of the Secret. No default.',
    },
    name: {
      type: 'string',
      minLength: 1,
      maxLength: 253,
      pattern: DNS_SUBDOMAIN,
      description: 'name of the Secret. No default.',
    },
    key,
  },
})

const introspectionSchema: JsonSchema = {
  type: 'object',
  description:
    'introspection says where to ask about tokens that say nothing by themselves (RFC 7662). Sidecars ask, by their own connections, where a policy has authentication.introspection. Default: nobody is asked.',
  required: ['backendRef', 'path'],
  properties: {
    backendRef: backendRefSchema(
      'backendRef names the authorization server: a Service, with its namespace, or a host that MeshConfig egress names. No default.',
    ),
    path: {
      type: 'string',
      minLength: 1,
      maxLength: 1_024,
      pattern: '^/[!"$-~]*$',
      description: 'path of the introspection endpoint. No default.',
    },
    clientId: {
      type: 'string',
      minLength: 1,
      maxLength: 256,
      pattern: '^[ -~]+$',
      description:
        'clientId is whom the mesh is known as there: with clientSecretRef by client_secret_basic, without it by name, for servers that know by mutual TLS who asks. Default: the mesh is not known by name.',
    },
    clientSecretRef: secretSchema(
      'clientSecretRef names the Secret that holds the secret of clientId. Default: there is none.',
      {
        type: 'string',
        minLength: 1,
        maxLength: 253,
        pattern: '^[-._a-zA-Z0-9]+$',
        description: `key of the Secret whose value it is. Default: ${DEFAULT_CLIENT_SECRET_KEY}.`,
      },
    ),
    timeout: {
      type: 'string',
      maxLength: 32,
      pattern: DURATION_PATTERN,
      description:
        'timeout is how long an answer may take, at most 5s. A request without one is answered 503. Default: 1s.',
    },
    maxAge: {
      type: 'string',
      maxLength: 32,
      pattern: DURATION_PATTERN,
      description:
        'maxAge is how long a token is taken for active without asking again, at most 1h, and never beyond its exp: what the server revokes meanwhile still passes. 0s asks each time. Default: 1m.',
    },
    requireAudience: {
      type: 'boolean',
      description:
        'requireAudience refuses tokens of which the server says no aud. Without it a token for any other service of the same server is good here too. Default: true.',
    },
  },
  'x-kubernetes-validations': [
    {
      rule: '!has(self.clientSecretRef) || has(self.clientId)',
      message: 'a client secret is that of a clientId',
    },
  ],
}

const selectorSchema: JsonSchema = {
  type: 'object',
  description: 'selector admits the namespaces whose labels it selects; an empty one selects all. Default: none.',
  properties: {
    matchLabels: {
      type: 'object',
      maxProperties: 16,
      additionalProperties: { type: 'string', maxLength: 63 },
      description: 'matchLabels are labels that a namespace must have. Default: none.',
    },
    matchExpressions: {
      type: 'array',
      maxItems: 16,
      'x-kubernetes-list-type': 'atomic',
      description: 'matchExpressions are conditions that must all hold. Default: none.',
      items: {
        type: 'object',
        description: 'A condition on one label.',
        required: ['key', 'operator'],
        properties: {
          key: { type: 'string', minLength: 1, maxLength: 317, description: 'key of the label.' },
          operator: {
            type: 'string',
            enum: ['In', 'NotIn', 'Exists', 'DoesNotExist'],
            description: 'operator relates the label to values.',
          },
          values: {
            type: 'array',
            maxItems: 64,
            items: { type: 'string', maxLength: 63 },
            'x-kubernetes-list-type': 'atomic',
            description: 'values of In and NotIn; absent for Exists and DoesNotExist.',
          },
        },
      },
    },
  },
}

/** `spec` of the CRD TokenIssuer. */
export const tokenIssuerSchema: JsonSchema = {
  type: 'object',
  description:
    'spec says whose tokens are good, for whom, and how they are verified. It takes effect where a SecurityPolicy names this issuer.',
  required: ['issuer', 'audiences'],
  'x-kubernetes-validations': [
    {
      rule: 'has(self.jwks) || has(self.introspection)',
      message: 'at least one of jwks and introspection must be set',
    },
  ],
  properties: {
    issuer: {
      type: 'string',
      minLength: 1,
      maxLength: 2048,
      pattern: '^[!-~]+$',
      description:
        'issuer is what the claim iss of its tokens must be, character by character. It is only a name: nothing is ever fetched from it. No default.',
    },
    audiences: {
      type: 'array',
      minItems: 1,
      maxItems: 32,
      items: { type: 'string', minLength: 1, maxLength: 2048 },
      'x-kubernetes-list-type': 'set',
      description:
        'audiences are the names that this mesh answers to: the claim aud must hold one of them. No default, at least one.',
    },
    jwks: jwksSchema,
    introspection: introspectionSchema,
    algorithms: {
      type: 'array',
      minItems: 1,
      maxItems: ALGORITHMS.length,
      items: { type: 'string', enum: [...ALGORITHMS] },
      default: [...DEFAULT_ALGORITHMS],
      'x-kubernetes-list-type': 'set',
      description: `algorithms that signatures may have. Each key is good for one of them only, whatever a token says. Default: ${DEFAULT_ALGORITHMS.join(', ')}.`,
    },
    typ: {
      type: 'array',
      minItems: 1,
      maxItems: 8,
      items: { type: 'string', maxLength: 64, pattern: '^[!#$&-^_.+A-Za-z0-9/]*$' },
      default: [...DEFAULT_TYPES],
      'x-kubernetes-list-type': 'set',
      description:
        'typ lists the types that the header typ of a token may say, without regard to case or a leading application/. An empty string admits tokens without typ. Name at+jwt alone when the issuer follows RFC 9068. Default: at+jwt, JWT.',
    },
    clockSkew: {
      type: 'string',
      maxLength: 32,
      pattern: DURATION_PATTERN,
      default: DEFAULT_CLOCK_SKEW,
      description: `clockSkew is how far the clocks of issuer and mesh may be apart when exp, nbf and iat are judged, at most ${MAX_CLOCK_SKEW_MS / 60_000}m. Default: ${DEFAULT_CLOCK_SKEW}.`,
      'x-kubernetes-validations': [{ rule: "duration(self) <= duration('5m')", message: 'clockSkew is at most 5m' }],
    },
    allowedNamespaces: {
      type: 'object',
      description:
        'allowedNamespaces says from which namespaces policies may name this issuer; elsewhere they do not resolve and refuse. Default: from all.',
      properties: {
        names: {
          type: 'array',
          minItems: 1,
          maxItems: 256,
          items: { type: 'string', minLength: 1, maxLength: 63, pattern: DNS_LABEL },
          'x-kubernetes-list-type': 'set',
          description: 'names of namespaces that are admitted. Default: none.',
        },
        selector: selectorSchema,
      },
      'x-kubernetes-validations': [
        { rule: 'has(self.names) || has(self.selector)', message: 'at least one of names and selector must be set' },
      ],
    },
    limits: {
      type: 'object',
      description: 'limits bound what is read of a token. A token beyond them is refused.',
      properties: {
        tokenBytes: {
          type: 'integer',
          minimum: 256,
          maximum: MAX_TOKEN_BYTES,
          default: MAX_TOKEN_BYTES,
          description: `tokenBytes is the length of a token at most. Default: ${MAX_TOKEN_BYTES}.`,
        },
        depth: {
          type: 'integer',
          minimum: 1,
          maximum: MAX_CLAIMS_DEPTH,
          default: MAX_CLAIMS_DEPTH,
          description: `depth is how deep objects and lists may be nested in the claims, the claims being the first level. Default: ${MAX_CLAIMS_DEPTH}.`,
        },
      },
    },
    cache: {
      type: 'object',
      description: 'cache bounds the verified tokens of this issuer that one sidecar remembers.',
      properties: {
        maxEntries: {
          type: 'integer',
          minimum: 0,
          maximum: 1_000_000,
          default: DEFAULT_CACHE.maxEntries,
          description: `maxEntries is how many tokens are remembered; 0 verifies every token each time. Default: ${DEFAULT_CACHE.maxEntries}.`,
        },
        maxBytes: {
          type: 'integer',
          minimum: 0,
          maximum: 1_073_741_824,
          default: DEFAULT_CACHE.maxBytes,
          description: `maxBytes is the memory that they may take: 64 bytes each, and what is left, by estimate, for the claims of those that come most often. Default: ${DEFAULT_CACHE.maxBytes}.`,
        },
        maxAge: {
          type: 'string',
          maxLength: 32,
          pattern: DURATION_PATTERN,
          default: DEFAULT_CACHE.maxAge,
          description: `maxAge is how long a token counts as verified, at most 1h and never beyond its exp. Default: ${DEFAULT_CACHE.maxAge}.`,
          'x-kubernetes-validations': [{ rule: "duration(self) <= duration('1h')", message: 'maxAge is at most 1h' }],
        },
      },
    },
  },
}
