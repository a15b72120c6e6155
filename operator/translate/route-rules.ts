import type { Delivery, RetrySettings, Session } from '../../contract/traffic.ts'
import type { HeaderEdits, PathRewrite, RouteAction, RouteMatch } from '../../contract/workload-config.ts'
import { parseDuration } from '../../model/duration.ts'
import { parseHostname, parseHostnamePattern } from '../../model/hostname.ts'
import { parsePathPattern } from '../../model/match/path.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import type {
  BackendRef,
  HeaderModifier,
  HTTPRoute,
  HTTPRouteFilter,
  HTTPRouteMatch,
  HTTPRouteRetry,
  HTTPRouteRule,
  PathModifier,
  ValueMatch,
} from '../resources/http-route.ts'
import { TRAFFIC_DEFAULTS } from '../resources/traffic-policy.ts'

/** A rule of an HTTPRoute or GRPCRoute, made ready but for what it refers to. */
export interface RouteRule {
  readonly name?: string
  readonly matches: readonly Omit<RouteMatch, 'hostnames'>[]
  readonly requestHeaders?: HeaderEdits
  readonly responseHeaders?: HeaderEdits
  readonly redirect?: Extract<RouteAction, { kind: 'redirect' }>
  readonly rewritePath?: PathRewrite
  readonly rewriteHost?: string
  readonly backendRefs: readonly BackendRef[]
  /** What the route says of the time and tries of its requests. */
  readonly delivery?: Delivery
  readonly session?: Session
  readonly mirrors: readonly MirrorRef[]
}

export interface MirrorRef {
  /** Where it stands in the route, for issues. */
  readonly path: string
  readonly backendRef: BackendRef
  readonly numerator: number
  readonly denominator: number
}

const MAX_TIMEOUT_MS = 86_400_000

/** RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** RFC 9110, 5.5: a value that splits a head in two is no value. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Fields that say how a message is framed or who sent it; the data plane writes them, and a route may not. */
const RESERVED = new Set([
  'connection',
  'content-length',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'txn-token',
  'upgrade',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
])
const RESERVED_PREFIX = 'x-hauberk-'

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'])

/**
 * Reads the rules of an HTTPRoute. Paths of issues are from the root of the resource.
 *
 * One value that we do not support refuses the whole route: to leave out a match or a filter would serve requests that
 * its author meant to be treated otherwise. Regular expressions are not supported: a pattern of one tenant could
 * stop a gateway that serves them all.
 */
export function readRules({ spec }: HTTPRoute): Result<readonly RouteRule[]> {
  const issues: Issue[] = []
  const rules = (spec.rules ?? [{}]).map((rule, i) => readRule(rule, `spec.rules[${i}]`, issues))
  return issues.length > 0 ? fail(...issues) : ok(rules)
}

/** Hostnames of a route in lower case. */
export function readHostnames({
  spec,
}: {
  readonly spec: { readonly hostnames?: readonly string[] }
}): Result<readonly string[]> {
  const issues: Issue[] = []
  const hostnames = (spec.hostnames ?? []).flatMap((text, i) => {
    const pattern = parseHostnamePattern(text)
    if (pattern.ok) return [pattern.value]
    issues.push(...pattern.issues.map((found) => under(`spec.hostnames[${i}]`, found)))
    return []
  })
  return issues.length > 0 ? fail(...issues) : ok(hostnames)
}

function readRule(rule: HTTPRouteRule, path: string, issues: Issue[]): RouteRule {
  const matches = (rule.matches?.length ? rule.matches : [{}]).map((match, i) =>
    readMatch(match, `${path}.matches[${i}]`, issues),
  )
  return readRuleWith(matches, rule, path, issues)
}

/** What a rule of any kind of route says besides its matches. */
export function readRuleWith(
  matches: RouteRule['matches'],
  rule: Omit<HTTPRouteRule, 'matches'>,
  path: string,
  issues: Issue[],
): RouteRule {
  const filters = readFilters(rule.filters ?? [], matches, path, issues)
  for (const [i, ref] of (rule.backendRefs ?? []).entries()) {
    if ((ref.filters ?? []).length > 0) {
      issues.push(unsupported(`${path}.backendRefs[${i}].filters`, 'filters of one backend are not supported'))
    }
  }
  const delivery = readDelivery(rule, matches, path, issues)
  const session = readSession(rule, path, issues)
  return {
    ...(rule.name !== undefined && { name: rule.name }),
    matches,
    ...filters,
    backendRefs: rule.backendRefs ?? [],
    ...(delivery !== undefined && { delivery }),
    ...(session !== undefined && { session }),
    mirrors: readMirrors(rule.filters ?? [], path, issues),
  }
}

function readMatch(match: HTTPRouteMatch, path: string, issues: Issue[]): RouteRule['matches'][number] {
  if (match.method !== undefined && !METHODS.has(match.method)) {
    issues.push(unsupported(`${path}.method`, `${match.method} is not a method that a route can match`))
  }
  return {
    path: readPathMatch(match.path ?? {}, `${path}.path`, issues),
    ...(match.method !== undefined && { method: match.method }),
    headers: readHeaderMatches(match.headers ?? [], `${path}.headers`, issues),
    query: readValueMatches(match.queryParams ?? [], `${path}.queryParams`, (name) => name, issues),
  }
}

function readPathMatch(
  { type = 'PathPrefix', value = '/' }: NonNullable<HTTPRouteMatch['path']>,
  path: string,
  issues: Issue[],
): RouteMatch['path'] {
  if (type !== 'Exact' && type !== 'PathPrefix') {
    issues.push(unsupported(`${path}.type`, `${type} is not supported`, 'use Exact or PathPrefix'))
    return { type: 'prefix', value: '/' }
  }
  if (type === 'Exact') return { type: 'exact', value: readPath(value, `${path}.value`, issues) }
  return { type: 'prefix', value: readPath(withoutTrailingSlash(value), `${path}.value`, issues) }
}

/** Prefixes are compared by segments: `/a` and `/a/` are the same one. */
function withoutTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/** In the one normal form that requests come in (POLICY-API rule 10); what has none could never match. */
function readPath(text: string, path: string, issues: Issue[]): string {
  const parsed = parsePathPattern(text)
  if (!parsed.ok) {
    issues.push(...parsed.issues.map((found) => ({ ...found, path, code: 'unsupported-value' })))
    return '/'
  }
  const literals = parsed.value.segments.flatMap((segment) => (segment.kind === 'literal' ? [segment.text] : []))
  if (literals.length < parsed.value.segments.length) {
    issues.push(unsupported(path, 'holds braces, which no path of a request does'))
  }
  return `/${literals.join('/')}`
}

/** The headers of a match, each named in lower case. */
export function readHeaderMatches(
  matches: readonly ValueMatch[],
  path: string,
  issues: Issue[],
): RouteMatch['headers'] {
  return readValueMatches(matches, path, (name) => name.toLowerCase(), issues)
}

/** The first of several with one name counts (Gateway API). */
function readValueMatches(
  matches: readonly ValueMatch[],
  path: string,
  nameOf: (name: string) => string,
  issues: Issue[],
): RouteMatch['headers'] {
  const byName = new Map<string, RouteMatch['headers'][number]>()
  for (const [i, { type = 'Exact', name, value }] of matches.entries()) {
    if (type !== 'Exact') issues.push(unsupported(`${path}[${i}].type`, `${type} is not supported`, 'use Exact'))
    if (!byName.has(nameOf(name))) byName.set(nameOf(name), { type: 'exact', name: nameOf(name), value })
  }
  return [...byName.values()]
}

type Filters = Pick<RouteRule, 'requestHeaders' | 'responseHeaders' | 'redirect' | 'rewritePath' | 'rewriteHost'>

function readFilters(
  filters: readonly HTTPRouteFilter[],
  matches: RouteRule['matches'],
  rulePath: string,
  issues: Issue[],
): Filters {
  const found: { -readonly [Key in keyof Filters]: Filters[Key] } = {}
  const seen = new Set<string>()
  const prefixesOnly = matches.every((match) => match.path.type === 'prefix')
  for (const [i, filter] of filters.entries()) {
    const path = `${rulePath}.filters[${i}]`
    if (seen.has(filter.type) && filter.type !== 'RequestMirror')
      issues.push(unsupported(path, `${filter.type} is there twice`))
    seen.add(filter.type)
    switch (filter.type) {
      case 'RequestHeaderModifier':
        found.requestHeaders = readEdits(filter.requestHeaderModifier ?? {}, `${path}.requestHeaderModifier`, issues)
        break
      case 'ResponseHeaderModifier':
        found.responseHeaders = readEdits(filter.responseHeaderModifier ?? {}, `${path}.responseHeaderModifier`, issues)
        break
      case 'RequestRedirect':
        found.redirect = readRedirect(filter.requestRedirect ?? {}, `${path}.requestRedirect`, prefixesOnly, issues)
        break
      case 'URLRewrite': {
        const { hostname, path: rewrite } = filter.urlRewrite ?? {}
        if (hostname !== undefined) found.rewriteHost = readHost(hostname, `${path}.urlRewrite.hostname`, issues)
        const rewritten = readPathModifier(rewrite, `${path}.urlRewrite.path`, prefixesOnly, issues)
        if (rewritten !== undefined) found.rewritePath = rewritten
        break
      }
      case 'RequestMirror':
        break
      default:
        issues.push(unsupported(`${path}.type`, `${filter.type} is not supported`))
    }
  }
  if (seen.has('RequestRedirect') && seen.has('URLRewrite')) {
    issues.push(
      issue('incompatible-filters', `${rulePath}.filters`, 'redirects and rewrites at once', 'keep one of them'),
    )
  }
  return found
}

function readEdits({ set = [], add = [], remove = [] }: HeaderModifier, path: string, issues: Issue[]): HeaderEdits {
  const nameAt = (name: string, at: string): string => {
    const lower = name.toLowerCase()
    if (!TOKEN.test(name)) issues.push(unsupported(at, 'is not the name of a header'))
    else if (RESERVED.has(lower) || lower.startsWith(RESERVED_PREFIX)) {
      issues.push(unsupported(at, `${lower} is written by the mesh alone`, 'leave it out'))
    }
    return lower
  }
  const pairs = (list: NonNullable<HeaderModifier['set']>, at: string) =>
    list.map(({ name, value }, i): [string, string] => {
      if (!FIELD_VALUE.test(value)) issues.push(unsupported(`${at}[${i}].value`, 'holds a control character'))
      return [nameAt(name, `${at}[${i}].name`), value.trim()]
    })
  return {
    set: pairs(set, `${path}.set`),
    add: pairs(add, `${path}.add`),
    remove: remove.map((name, i) => nameAt(name, `${path}.remove[${i}]`)),
  }
}

const REDIRECT_STATUS = [301, 302, 303, 307, 308] as const

function readRedirect(
  { scheme, hostname, path: rewrite, port, statusCode = 302 }: NonNullable<HTTPRouteFilter['requestRedirect']>,
  path: string,
  prefixesOnly: boolean,
  issues: Issue[],
): NonNullable<RouteRule['redirect']> {
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') {
    issues.push(unsupported(`${path}.scheme`, `${scheme} is not supported`, 'use http or https'))
  }
  const status = REDIRECT_STATUS.find((known) => known === statusCode)
  if (status === undefined) {
    issues.push(
      unsupported(`${path}.statusCode`, `${statusCode} is no redirect`, `use one of ${REDIRECT_STATUS.join(', ')}`),
    )
  }
  const rewritePath = readPathModifier(rewrite, `${path}.path`, prefixesOnly, issues)
  return {
    kind: 'redirect',
    status: status ?? 302,
    ...((scheme === 'http' || scheme === 'https') && { scheme }),
    ...(hostname !== undefined && { host: readHost(hostname, `${path}.hostname`, issues) }),
    ...(port !== undefined && { port }),
    ...(rewritePath !== undefined && { rewritePath }),
  }
}

function readHost(text: string, path: string, issues: Issue[]): string {
  const parsed = parseHostname(text)
  if (parsed.ok) return parsed.value
  issues.push(...parsed.issues.map((found) => ({ ...found, path })))
  return ''
}

function readPathModifier(
  modifier: PathModifier | undefined,
  path: string,
  prefixesOnly: boolean,
  issues: Issue[],
): PathRewrite | undefined {
  switch (modifier?.type) {
    case undefined:
      return undefined
    case 'ReplaceFullPath':
      return { kind: 'full', path: readPath(modifier.replaceFullPath || '/', `${path}.replaceFullPath`, issues) }
    case 'ReplacePrefixMatch':
      if (!prefixesOnly) {
        issues.push(unsupported(path, 'replaces the prefix of a match that has none', 'match by PathPrefix'))
      }
      return {
        kind: 'prefix',
        path: readPath(withoutTrailingSlash(modifier.replacePrefixMatch || '/'), `${path}.replacePrefixMatch`, issues),
      }
    default:
      issues.push(unsupported(`${path}.type`, `${modifier?.type} is not supported`))
      return undefined
  }
}

function readMirrors(filters: readonly HTTPRouteFilter[], rulePath: string, issues: Issue[]): readonly MirrorRef[] {
  return filters.flatMap(({ type, requestMirror }, i): MirrorRef[] => {
    if (type !== 'RequestMirror') return []
    const path = `${rulePath}.filters[${i}].requestMirror`
    if (requestMirror === undefined) {
      issues.push(unsupported(path, 'is not there'))
      return []
    }
    const { backendRef, percent, fraction } = requestMirror
    if (percent !== undefined && fraction !== undefined) {
      issues.push(unsupported(path, 'says both percent and fraction', 'keep one of them'))
    }
    const { numerator, denominator = 100 } = fraction ?? { numerator: percent ?? 100 }
    if (numerator > denominator) issues.push(unsupported(`${path}.fraction`, 'is more than all requests'))
    return [{ path: `${path}.backendRef`, backendRef, numerator, denominator }]
  })
}

/** Tries after the first one where a retry does not say how many. */
const DEFAULT_ATTEMPTS = 2
const MAX_ATTEMPTS = 10

/** Where a retry does not say how long to wait, and how many times as long the longest pause is. */
const DEFAULT_BACKOFF_MS = 25
const LONGEST_BACKOFF = 10
const MAX_BACKOFF_MS = 60_000

function readDelivery(
  { timeouts = {}, retry }: Omit<HTTPRouteRule, 'matches'>,
  matches: RouteRule['matches'],
  rulePath: string,
  issues: Issue[],
): Delivery | undefined {
  const requestTimeoutMs = readTime(timeouts.request, `${rulePath}.timeouts.request`, MAX_TIMEOUT_MS, issues)
  const tryTimeoutMs = readTime(timeouts.backendRequest, `${rulePath}.timeouts.backendRequest`, MAX_TIMEOUT_MS, issues)
  const delivery: Delivery = {
    ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
    ...(tryTimeoutMs !== undefined && { tryTimeoutMs }),
    ...(retry !== undefined && { retry: readRetry(retry, matches, `${rulePath}.retry`, issues) }),
  }
  return Object.keys(delivery).length === 0 ? undefined : delivery
}

/**
 * Gateway API has a try follow every connection error, and no word for methods: a rule that is for a method alone has said
 * that requests of it may be made twice, any other rule means those that are idempotent.
 */
function readRetry(
  { codes = [], attempts = DEFAULT_ATTEMPTS, backoff }: HTTPRouteRetry,
  matches: RouteRule['matches'],
  path: string,
  issues: Issue[],
): RetrySettings {
  if (attempts > MAX_ATTEMPTS) issues.push(unsupported(`${path}.attempts`, `is more than ${MAX_ATTEMPTS}`))
  const backoffMs = readTime(backoff, `${path}.backoff`, MAX_BACKOFF_MS, issues) ?? DEFAULT_BACKOFF_MS
  const named = matches.every(({ method }) => method !== undefined) ? matches.flatMap(({ method }) => method ?? []) : []
  return {
    attempts,
    on: ['connect-failure', 'refused-stream', 'reset', 'timeout'],
    statuses: [...new Set(codes)].sort((a, b) => a - b),
    methods: [...new Set([...TRAFFIC_DEFAULTS.retry.methods, ...named])].sort(),
    backoffMs,
    maxBackoffMs: Math.min(backoffMs * LONGEST_BACKOFF, MAX_BACKOFF_MS),
    maxBodyBytes: TRAFFIC_DEFAULTS.retry.maxBodyBytes,
  }
}

function readSession(
  { sessionPersistence }: Omit<HTTPRouteRule, 'matches'>,
  rulePath: string,
  issues: Issue[],
): Session | undefined {
  if (sessionPersistence === undefined) return undefined
  const path = `${rulePath}.sessionPersistence`
  const { type = 'Cookie', sessionName = DEFAULT_SESSION, cookieConfig = {} } = sessionPersistence
  const { lifetimeType = 'Session' } = cookieConfig
  if (type !== 'Cookie' && type !== 'Header') {
    issues.push(unsupported(`${path}.type`, `${type} is not supported`, 'use Cookie or Header'))
  }
  if (sessionPersistence.idleTimeout !== undefined) {
    const fix = 'use absoluteTimeout'
    issues.push(
      unsupported(`${path}.idleTimeout`, 'is not supported: nobody remembers when a session was last used', fix),
    )
  }
  const name = type === 'Header' ? sessionName.toLowerCase() : sessionName
  if (!TOKEN.test(name)) issues.push(unsupported(`${path}.sessionName`, `is not the name of a ${type.toLowerCase()}`))
  else if (type === 'Header' && (RESERVED.has(name) || name.startsWith(RESERVED_PREFIX))) {
    issues.push(unsupported(`${path}.sessionName`, `${name} is written by the mesh alone`))
  }
  const absoluteTimeoutMs = readTime(
    sessionPersistence.absoluteTimeout,
    `${path}.absoluteTimeout`,
    MAX_TIMEOUT_MS,
    issues,
  )
  const isPermanent = lifetimeType === 'Permanent'
  if (isPermanent && !absoluteTimeoutMs) {
    issues.push(unsupported(`${path}.absoluteTimeout`, 'is required for cookies that are Permanent'))
  }
  return {
    by: type === 'Header' ? 'header' : 'cookie',
    name,
    ...(absoluteTimeoutMs !== undefined && absoluteTimeoutMs > 0 && { absoluteTimeoutMs }),
    isPermanent,
  }
}

/** Of cookies and headers. Rules that are for one host name theirs, or one session is as good as another. */
const DEFAULT_SESSION = 'hauberk-session'

/** Milliseconds; undefined where nothing is written. */
function readTime(text: string | undefined, path: string, mostMs: number, issues: Issue[]): number | undefined {
  if (text === undefined) return undefined
  const parsed = parseDuration(text)
  if (!parsed.ok) {
    issues.push(...parsed.issues.map((found) => under(path, found)))
    return undefined
  }
  if (parsed.value <= mostMs) return parsed.value
  const fix = mostMs === MAX_TIMEOUT_MS ? 'write 0s for no limit' : undefined
  issues.push(unsupported(path, `is longer than ${mostMs === MAX_TIMEOUT_MS ? '24h' : `${mostMs / 1_000}s`}`, fix))
  return undefined
}

function unsupported(path: string, message: string, fix?: string): Issue {
  return issue('unsupported-value', path, message, fix)
}
