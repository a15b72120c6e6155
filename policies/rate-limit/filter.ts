import {
  type Check,
  type Consideration,
  type CountMemory,
  defineFilter,
  type FilterDeps,
  type Leases,
  type ReplicaShare,
} from '../../model/filter.ts'
import { lenient } from '../../model/match/lenient-path.ts'
import { type PathPattern, parsePathPattern } from '../../model/match/path.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { fail, type Issue, ok, type Result, under } from '../../model/result.ts'
import { CONTINUE, type Denial, type Deny, type Verdict } from '../../model/verdict.ts'
import { readWire } from '../read-wire.ts'
import { type Buckets, createBuckets } from './buckets.ts'
import { type ClientKey, compileClientKey, type Variables } from './client-key.ts'
import { type Limit, MAX_EARLIER_PER_MS, RateLimitConfig } from './config.ts'
import { type Gcra, gcra, sharedGcra, TICKS_PER_REQUEST } from './gcra.ts'

/** The client has called too often. */
export const RATE_LIMITED: Denial = {
  name: 'rate-limited',
  status: 429,
  title: 'There were too many requests.',
}

/**
 * Limits how often each client may call.
 *
 * Every limit that applies must agree before one of them counts the request, so that a refused request spends nothing.
 * A limit in dry run refuses nobody: it says in `facts.wouldDeny` that it would have.
 */
export const rateLimit = defineFilter<RateLimitConfig>({
  name: 'rate-limit',
  denials: [RATE_LIMITED],
  repeatable: false,
  tcp: false,
  decode: (wire) => readWire(RateLimitConfig, wire),
  since(config) {
    const isLater = ({ scope, perMs, key }: Limit) =>
      scope !== undefined || perMs > MAX_EARLIER_PER_MS || key.some(({ kind }) => kind === 'client')
    return config?.limits.some(isLater) === true ? 3 : 1
  },
  compile(config, deps) {
    const limits = compileLimits(config, deps.crypto.sha256)
    return limits.ok ? ok(checkOf(limits.value, deps)) : limits
  },
  explain,
})

interface CompiledLimit {
  readonly limit: Limit
  readonly clientKey: ClientKey
  /** The variables of the path, or undefined where the limit does not apply. */
  applies(request: RequestView): Variables | undefined
}

function compileLimits(config: RateLimitConfig, sha256: (text: string) => string): Result<readonly CompiledLimit[]> {
  const issues: Issue[] = []
  const compiled: CompiledLimit[] = []
  for (const [i, limit] of config.limits.entries()) {
    const applies = compileScope(limit)
    const clientKey = compileClientKey(limit.key, sha256)
    if (!applies.ok) issues.push(...applies.issues.map((found) => under(`limits[${i}]`, found)))
    if (!clientKey.ok) issues.push(...clientKey.issues.map((found) => under(`limits[${i}].key`, found)))
    if (applies.ok && clientKey.ok) {
      compiled.push({ limit, clientKey: clientKey.value, applies: applies.value })
    }
  }
  return issues.length > 0 ? fail(...issues) : ok(compiled)
}

const NO_VARIABLES: Variables = Object.freeze(Object.create(null))

/** A limit is a restriction: like a deny rule it covers every spelling that an application may take for its paths. */
function compileScope({ methods, paths, key }: Limit): Result<(request: RequestView) => Variables | undefined> {
  const issues: Issue[] = []
  const readings: Pick<PathPattern, 'matches' | 'variables'>[] = []
  for (const [i, text] of (paths ?? []).entries()) {
    const parsed = parsePathPattern(text)
    if (parsed.ok) readings.push(lenient(parsed.value), parsed.value)
    else issues.push(...parsed.issues.map((found) => under(`paths[${i}]`, found)))
  }
  if (issues.length > 0) return fail(...issues)
  const accepted = methods === undefined ? undefined : new Set(methods)
  if (accepted?.has('GET')) accepted.add('HEAD')
  const readsVariables = key.some(({ kind }) => kind === 'path')
  return ok(({ method, path }) => {
    if (accepted !== undefined && !accepted.has(method)) return undefined
    if (paths === undefined) return NO_VARIABLES
    if (!readsVariables) return readings.some((reading) => reading.matches(path)) ? NO_VARIABLES : undefined
    for (const reading of readings) {
      const variables = reading.variables(path)
      if (variables !== undefined) return variables
    }
    return undefined
  })
}

/** Where nobody says how many replicas there are. */
const ALONE: ReplicaShare = Object.freeze({ replicas: 1 })

interface LiveLimit extends CompiledLimit {
  readonly gcra: Gcra
  readonly buckets: Buckets
  /** Of a limit that replicas share, where somebody asks a store. */
  readonly leases?: Leases
}

function checkOf(compiled: readonly CompiledLimit[], deps: FilterDeps): Check {
  const { clock, count, share = ALONE } = deps
  const limits = compiled.map((one): LiveLimit => {
    const name = bucketsName(one.limit)
    if (one.limit.scope === 'shared') return { ...one, ...sharedMemory(name, one.limit, deps) }
    return { ...one, gcra: gcra(one.limit), buckets: bucketsOf(name, deps) }
  })
  // A check runs to its end before the next one starts, so one set of notes serves all requests.
  const keys: (string | undefined)[] = limits.map(() => undefined)
  const ticks = limits.map(() => 0)
  const tats: (number | undefined)[] = limits.map(() => undefined)
  const isLeased = limits.map(() => false)

  /** False: another worker has counted a request of one of these clients since it was looked at, and nothing is counted. */
  const countAll = (nowMs: number): boolean => {
    for (let i = 0; i < limits.length; i++) {
      const key = keys[i]
      if (key === undefined) continue
      const { buckets, gcra: rate, leases } = limits[i] as LiveLimit
      if (isLeased[i] === true) {
        leases?.use(key, 1)
        continue
      }
      const now = ticks[i] as number
      const next = rate.next(tats[i], now)
      const outcome = buckets.set(key, next, tats[i], nowMs + rate.duration(next - now))
      if (outcome === 'forgot') count('rate_limit_keys_evicted')
      if (outcome !== 'moved') {
        leases?.owe(key, 1)
        continue
      }
      for (let j = 0; j < i; j++) takeBack(limits[j] as LiveLimit, keys[j], isLeased[j] === true, nowMs)
      return false
    }
    return true
  }

  const check = (request: RequestView, facts: Facts): Verdict => {
    const nowMs = clock.monotonic()
    let refusing: LiveLimit | undefined
    let waitMs = 0
    for (let i = 0; i < limits.length; i++) {
      const live = limits[i] as LiveLimit
      const variables = live.applies(request)
      keys[i] = undefined
      if (variables === undefined) continue
      const key = live.clientKey(request, facts, variables)
      if (live.leases !== undefined) {
        isLeased[i] = live.leases.has(key, nowMs)
        if (isLeased[i] === true) {
          keys[i] = key
          continue
        }
      }
      const nowTicks = live.gcra.ticksAt(nowMs)
      const tat = live.buckets.get(key, nowMs)
      const early = live.gcra.earliness(tat, nowTicks)
      if (early <= 0) {
        keys[i] = key
        tats[i] = tat
        ticks[i] = nowTicks
        continue
      }
      live.leases?.refused(key, nowMs)
      const ownWaitMs = live.gcra.duration(early)
      if (live.limit.mode === 'dry-run') {
        facts.wouldDeny ??= refusal(live.limit, ownWaitMs, share)
      } else if (refusing === undefined || ownWaitMs > waitMs) {
        refusing = live
        waitMs = ownWaitMs
      }
    }
    if (refusing !== undefined) return refusal(refusing.limit, waitMs, share)
    return countAll(nowMs) ? CONTINUE : check(request, facts)
  }
  return check
}

/** What a limit that replicas share counts by, and what the store has granted of it. They outlive pushes together. */
function sharedMemory(name: string, limit: Limit, deps: FilterDeps): Pick<LiveLimit, 'gcra' | 'buckets' | 'leases'> {
  const { clock, quota, remember, share = ALONE } = deps
  const rate = sharedGcra(limit, share)
  const buckets = bucketsOf(name, deps)
  if (quota === undefined) return { gcra: rate, buckets }
  const memory: CountMemory = {
    read(key) {
      const nowMs = clock.monotonic()
      return Math.max(0, (buckets.get(key, nowMs) ?? 0) - rate.ticksAt(nowMs)) / TICKS_PER_REQUEST
    },
    write(key, counted) {
      const nowMs = clock.monotonic()
      const now = rate.ticksAt(nowMs)
      const tat = now + Math.round(counted * TICKS_PER_REQUEST)
      // Where another worker counts at this very moment, what it counts is told soon.
      buckets.set(key, tat, buckets.get(key, nowMs), nowMs + rate.duration(tat - now))
    },
  }
  return { gcra: rate, buckets, leases: remember(`${name} leases`, () => quota.leasesOf(name, limit, memory)) }
}

function bucketsOf(name: string, { remember, sharedTimes }: FilterDeps): Buckets {
  return sharedTimes?.(name) ?? remember(name, createBuckets)
}

function takeBack(limit: LiveLimit, key: string | undefined, isLeased: boolean, nowMs: number): void {
  const { buckets, gcra: rate, leases } = limit
  if (key === undefined) return
  if (isLeased) return leases?.use(key, -1)
  if ('subtract' in buckets) buckets.subtract(key, rate.cost(), nowMs)
  leases?.owe(key, -1)
}

/** Buckets outlive every push that leaves their limit what it is. */
function bucketsName({ policy, name, key, requests, perMs, burst, scope }: Limit): string {
  return JSON.stringify([policy, name, key, requests, perMs, burst, scope])
}

/**
 * `RateLimit` and `RateLimit-Policy` in the form of draft-ietf-httpapi-ratelimit-headers-10. Refusals alone carry them: what
 * is left of which limit is nobody's concern before, and writing it costs every request.
 */
function refusal(limit: Limit, waitMs: number, share: ReplicaShare): Deny {
  const { name, origin, requests, perMs } = limit
  const seconds = String(Math.max(1, Math.ceil(waitMs / 1_000)))
  const window = perMs % 1_000 === 0 ? `;w=${perMs / 1_000}` : ''
  return {
    kind: 'deny',
    denial: RATE_LIMITED,
    rule: name,
    origin,
    detail: `${describeRate(limit, share)}; the next one in ${Math.ceil(waitMs)} ms`,
    headers: [
      ['retry-after', seconds],
      ['ratelimit', `"${name}";r=0;t=${seconds}`],
      ['ratelimit-policy', `"${name}";q=${requests}${window}`],
    ],
  }
}

function describeRate({ requests, perMs, burst, scope }: Limit, share?: ReplicaShare): string {
  const rate = `${requests} in ${perMs} ms, ${burst} at once`
  if (scope !== 'shared') return rate
  return share === undefined
    ? `${rate}, shared by all replicas`
    : `${rate}, of which this replica has 1/${share.replicas}`
}

/** Which limits count the request, and by what. What they have counted before is the sidecar's alone to know. */
function explain(config: RateLimitConfig, request: RequestView, facts: Facts): readonly Consideration[] {
  const compiled = compileLimits(config, () => '...')
  if (!compiled.ok) throw new Error('explains a config that did not compile')
  return compiled.value.map(({ limit, applies }): Consideration => {
    const { name: rule, origin, key } = limit
    const common = { filter: 'rate-limit', rule, origin }
    if (applies(request) === undefined) {
      const { method, path } = request
      const expected = [...(limit.methods ?? []), ...(limit.paths ?? [])].join(', ')
      return { ...common, outcome: 'not-matched', field: 'to', expected, got: `${method} ${path}` }
    }
    const by = key.length === 0 ? 'all clients together' : key.map((part) => describePart(part, facts)).join(', ')
    return {
      ...common,
      outcome: 'matched',
      field: 'limit',
      expected: describeRate(limit),
      got: by,
    }
  })
}

function describePart(part: Limit['key'][number], { token, client }: Facts): string {
  switch (part.kind) {
    case 'service-account':
      return 'by service account'
    case 'ip':
      return 'by address'
    case 'client':
      return client === undefined ? 'by identity and address, having no API key' : `by client ${client.id}`
    case 'claim':
      return token === undefined
        ? `by identity and address, having no token for ${part.claim}`
        : `by claim ${part.claim}`
    case 'header':
      return `by header ${part.name}`
    case 'path':
      return `by path.${part.variable}`
  }
}
