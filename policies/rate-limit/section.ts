import { DURATION_PATTERN, parseDuration } from '../../model/duration.ts'
import { parseHeaderName } from '../../model/match/header.ts'
import { parseJsonPointer } from '../../model/match/json-pointer.ts'
import { MAX_PATH_PATTERN_LENGTH, parsePathPattern } from '../../model/match/path.ts'
import { formatOrigin } from '../../model/origin.ts'
import { resourceKey } from '../../model/resource.ts'
import { type Issue, issue, ok, under } from '../../model/result.ts'
import { type Attached, defineSection, type JsonSchema, type Levels } from '../../model/section.ts'
import { type KeyPart, type Limit, MAX_PER_MS, MAX_REQUESTS, type RateLimitConfig } from './config.ts'

/** `rateLimit` as a policy writes it. */
export type RateLimitSpec = readonly LimitSpec[]

export interface LimitSpec {
  readonly name: string
  readonly key?: readonly KeyPartSpec[]
  readonly to?: { readonly methods?: readonly string[]; readonly paths?: readonly string[] }
  readonly limit: { readonly requests: number; readonly per: string; readonly burst?: number }
  readonly scope?: 'Local' | 'Shared'
  readonly mode?: 'Enforce' | 'DryRun' | 'Off'
}

/** Exactly one of these. */
export interface KeyPartSpec {
  readonly source?: 'ServiceAccount' | 'IP' | 'Client'
  readonly claim?: string
  readonly header?: string
  readonly path?: string
}

const KEY_FIELDS = ['source', 'claim', 'header', 'path'] as const

const requests = (description: string): JsonSchema => ({
  type: 'integer',
  format: 'int32',
  description,
  minimum: 1,
  maximum: MAX_REQUESTS,
})

const KEY: JsonSchema = {
  type: 'array',
  description:
    'key says what tells clients apart; all parts together make one client. A client without one of them (no token, no such header) is counted by its identity and address instead. Default: all clients share one allowance.',
  maxItems: 4,
  'x-kubernetes-list-type': 'atomic',
  items: {
    type: 'object',
    minProperties: 1,
    maxProperties: 1,
    properties: {
      source: {
        type: 'string',
        description:
          "source is ServiceAccount for the caller's verified identity, Client for the client that an API key was made for, or IP for the client's address after the trusted hops of X-Forwarded-For, of IPv6 its /64. Default: not part of the key.",
        enum: ['ServiceAccount', 'IP', 'Client'],
      },
      claim: {
        type: 'string',
        description:
          'claim is a JSON Pointer (RFC 6901) into the claims of the verified token, such as /sub. Default: not part of the key.',
        minLength: 2,
        maxLength: 256,
        pattern: '^(/([^~/]|~[01])*)+$',
      },
      header: {
        type: 'string',
        description:
          'header is the name of a request header in lower case; its value counts without regard to case. Clients choose what they send: combine it with what they cannot choose. Default: not part of the key.',
        minLength: 1,
        maxLength: 256,
        pattern: "^[!#$%&'*+\\-.^_`|~0-9a-z]+$",
      },
      path: {
        type: 'string',
        description:
          'path is a variable of to.paths, such as userId; its value counts without regard to case. Default: not part of the key.',
        minLength: 1,
        maxLength: 63,
        pattern: '^[A-Za-z][A-Za-z0-9_]*$',
      },
    },
  },
}

const SCHEMA: JsonSchema = {
  type: 'array',
  description:
    'rateLimit lists limits on how often clients may call. Every limit that matches a request must agree, or it is refused with 429 and counted by none of them. Default: no limit.',
  maxItems: 16,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
  items: {
    type: 'object',
    required: ['name', 'limit'],
    properties: {
      name: {
        type: 'string',
        description:
          'name names the limit in logs, metrics and the RateLimit response header; no other limit of the policy has it. Required.',
        minLength: 1,
        maxLength: 63,
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      },
      key: KEY,
      to: {
        type: 'object',
        description:
          'to says which requests count; its fields must all match, and of each field one value. Default: all.',
        minProperties: 1,
        properties: {
          methods: {
            type: 'array',
            description: 'methods lists HTTP methods; GET covers HEAD. Default: every method.',
            minItems: 1,
            maxItems: 16,
            'x-kubernetes-list-type': 'set',
            items: { type: 'string', minLength: 1, maxLength: 32, pattern: '^[A-Z]+(-[A-Z]+)*$' },
          },
          paths: {
            type: 'array',
            description:
              'paths lists path patterns as in authorization, such as /users/{userId}/{**}; other spellings that applications take for the same path count too. Default: every path.',
            minItems: 1,
            maxItems: 32,
            'x-kubernetes-list-type': 'set',
            items: { type: 'string', minLength: 1, maxLength: MAX_PATH_PATTERN_LENGTH, pattern: '^/' },
          },
        },
      },
      limit: {
        type: 'object',
        description: 'limit is how much each client may call. Required.',
        required: ['requests', 'per'],
        properties: {
          requests: requests('requests is how many requests a client may make in per, evenly spread. Required.'),
          per: {
            type: 'string',
            description:
              'per is the time for requests, such as 1s, 24h for a day or 720h for thirty days; at most 744h. Required.',
            maxLength: 32,
            pattern: DURATION_PATTERN,
          },
          burst: requests(
            'burst is how many requests may come at once after a pause. Default: as many as requests says.',
          ),
        },
      },
      scope: {
        type: 'string',
        description:
          'scope is where requests are counted: Local is each sidecar or gateway by itself; Shared is all replicas of the workload together, each of which enforces its share of the limit, at least one request at once. Default: Local.',
        enum: ['Local', 'Shared'],
        default: 'Local',
      },
      mode: {
        type: 'string',
        description:
          'mode is Enforce, DryRun to count and log refusals without refusing, or Off. Where the policy itself is in dry run or off, so is this limit. Default: Enforce.',
        enum: ['Enforce', 'DryRun', 'Off'],
        default: 'Enforce',
      },
    },
  },
}

/**
 * The limits of all floors and policies apply, each with buckets of its own; those of defaults where no policy has a
 * `rateLimit`.
 */
export const rateLimitSection = defineSection<RateLimitSpec, RateLimitConfig, RateLimitConfig>({
  filter: 'rate-limit',
  name: 'rateLimit',
  schema: { rateLimit: SCHEMA },
  pick: (spec) => spec['rateLimit'] as RateLimitSpec | undefined,
  review: (spec) => spec.flatMap((limit, i) => reviewLimit(limit).map((found) => under(`rateLimit[${i}]`, found))),
  combine({ floor, policies, defaults }: Levels<RateLimitSpec>) {
    const counting = [...floor, ...(policies.length > 0 ? policies : defaults)]
    const limits = counting.flatMap(limitsOf)
    if (limits.length === 0) return undefined
    return { value: { limits }, origins: counting.map(({ origin }) => origin) }
  },
  translate: (config) => ok(config),
})

function limitsOf({ spec, origin }: Attached<RateLimitSpec>): Limit[] {
  return spec
    .filter(({ mode }) => mode !== 'Off')
    .map(({ name, key = [], to, limit, scope, mode }) => {
      const per = parseDuration(limit.per)
      return {
        name,
        policy: resourceKey(origin.kind, origin.namespace, origin.name),
        origin: formatOrigin(origin),
        mode: mode === 'DryRun' ? 'dry-run' : 'enforce',
        key: key.map(keyPartOf),
        ...(to?.methods !== undefined && { methods: [...to.methods] }),
        ...(to?.paths !== undefined && { paths: [...to.paths] }),
        requests: limit.requests,
        // What does not parse was refused before; were it not, the slowest rate is the one that errs on the strict side.
        perMs: per.ok ? per.value : MAX_PER_MS,
        burst: limit.burst ?? limit.requests,
        ...(scope === 'Shared' && { scope: 'shared' as const }),
      }
    })
}

const SOURCES = { ServiceAccount: 'service-account', IP: 'ip', Client: 'client' } as const

function keyPartOf({ source, claim, header, path }: KeyPartSpec): KeyPart {
  if (source !== undefined) return { kind: SOURCES[source] }
  if (claim !== undefined) return { kind: 'claim', claim }
  if (header !== undefined) return { kind: 'header', name: header.toLowerCase() }
  return { kind: 'path', variable: path ?? '' }
}

function reviewLimit({ key = [], to, limit }: LimitSpec): readonly Issue[] {
  const issues: Issue[] = []
  const names = new Set<string>()
  for (const [i, text] of (to?.paths ?? []).entries()) {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) issues.push(...parsed.issues.map((found) => under(`to.paths[${i}]`, found)))
    else for (const name of parsed.value.names) names.add(name)
  }
  for (const [i, part] of key.entries()) {
    issues.push(...reviewKeyPart(part, names).map((found) => under(`key[${i}]`, found)))
  }
  const per = parseDuration(limit.per)
  if (!per.ok) issues.push(...per.issues.map((found) => under('limit.per', found)))
  else if (per.value < 1 || per.value > MAX_PER_MS) {
    issues.push(issue('out-of-range', 'limit.per', 'is not between 1ms and 744h', 'write 1s, 1h or 24h'))
  }
  return issues
}

function reviewKeyPart(part: KeyPartSpec, names: ReadonlySet<string>): readonly Issue[] {
  const said = KEY_FIELDS.filter((field) => part[field] !== undefined)
  if (said.length !== 1) {
    return [issue('key-part', '', `says ${said.length} things`, `say exactly one of ${KEY_FIELDS.join(', ')}`)]
  }
  const { claim, header, path } = part
  if (claim !== undefined) {
    const parsed = parseJsonPointer(claim)
    return parsed.ok ? [] : parsed.issues.map((found) => under('claim', found))
  }
  if (header !== undefined) {
    const parsed = parseHeaderName(header)
    return parsed.ok ? [] : parsed.issues.map((found) => under('header', found))
  }
  if (path === undefined || names.has(path)) return []
  return [
    issue('unknown-path-variable', 'path', `is ${path}, which no path of to.paths has`, `add a path with {${path}}`),
  ]
}
