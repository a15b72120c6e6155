import { type Cidr, parseCidr } from '../../model/match/cidr.ts'
import { parseHeaderPattern } from '../../model/match/header.ts'
import { parseHostPattern } from '../../model/match/host.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'
import { parseJsonPointer } from '../../model/match/json-pointer.ts'
import { lenient } from '../../model/match/lenient-path.ts'
import { parsePathPattern } from '../../model/match/path.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import { parseSpiffeId, parseTrustDomain, spiffeIdFor, type TrustDomain } from '../../model/spiffe-id.ts'
import { claimValues } from './claim-values.ts'
import type { From, Rule, To } from './config.ts'
import { type PathVariables, parseWhen, type WhenExpression, type WhenOutcome } from './when-expression.ts'

/**
 * What a rule does when it matches. Where a request can be read in two ways, a rule that denies takes the one that
 * matches and a rule that allows the one that does not, so that doubt only makes it stricter.
 */
export type Effect = 'allow' | 'deny'

/** A rule made ready to be asked. Every condition must hold. */
export interface CompiledRule {
  readonly name: string
  readonly origin: string
  /** SPIFFE IDs that alone can match; undefined: the rule does not go by ID. */
  readonly identities: ReadonlySet<string> | undefined
  readonly conditions: readonly Condition[]
}

export interface Condition {
  /** Where the rule says it, such as `to.methods`. */
  readonly field: string
  /** What of the rule decides this as well, so that only an explanation needs to ask. */
  readonly impliedBy?: 'identities' | 'when'
  /** What the rule says. */
  readonly expected: string
  holds(request: RequestView, facts: Facts): boolean
  /** What the request has. */
  got(request: RequestView, facts: Facts): string
  /** What would have to be different about the request. */
  readonly change: string
}

export function compileRule(rule: Rule, effect: Effect, trustDomain: TrustDomain): Result<CompiledRule> {
  const issues: Issue[] = []
  const from = compileFrom(rule.from ?? {}, effect, trustDomain)
  const to = compileTo(rule.to ?? {}, effect)
  if (!from.ok) issues.push(...from.issues.map((found) => under('from', found)))
  if (!to.ok) issues.push(...to.issues.map((found) => under('to', found)))
  const when = compileWhen(rule, effect)
  if (!when.ok) issues.push(...when.issues)
  if (!from.ok || !to.ok || !when.ok) return fail(...issues)
  const { name, origin } = rule
  return ok({
    name,
    origin,
    identities: from.value.identities,
    conditions: [...from.value.conditions, ...to.value, ...when.value],
  })
}

/** Who calls; the conditions are named below `from.`. */
export function compileFrom(
  from: From,
  effect: Effect,
  trustDomain: TrustDomain,
): Result<Pick<CompiledRule, 'identities' | 'conditions'>> {
  const issues: Issue[] = []
  const conditions: Condition[] = []
  const { serviceAccounts, namespaces, spiffeIds, trustDomains, ipBlocks, issuers, clients, claims } = from
  let identities: ReadonlySet<string> | undefined
  const orNone = (value: string | undefined) => value ?? 'none'

  if (serviceAccounts !== undefined) {
    const ids = collect(serviceAccounts, 'serviceAccounts', issues, (written) => {
      const [namespace = '', serviceAccount = ''] = written.split('/')
      return spiffeIdFor(trustDomain, namespace, serviceAccount)
    })
    const accepted: ReadonlySet<string> = new Set(ids)
    identities = accepted
    conditions.push({
      field: 'from.serviceAccounts',
      impliedBy: 'identities',
      expected: list(serviceAccounts),
      holds: ({ peer }) => peer.spiffeId !== undefined && accepted.has(peer.spiffeId),
      got: ({ peer }) =>
        peer.serviceAccount === undefined || peer.trustDomain !== trustDomain
          ? orNone(peer.spiffeId)
          : `${peer.namespace}/${peer.serviceAccount}`,
      change: `call as ${oneOf(serviceAccounts)}`,
    })
  }
  if (spiffeIds !== undefined) {
    const accepted: ReadonlySet<string> = new Set<string>(collect(spiffeIds, 'spiffeIds', issues, parseSpiffeId))
    identities = identities === undefined ? accepted : new Set([...identities].filter((id) => accepted.has(id)))
    conditions.push({
      field: 'from.spiffeIds',
      impliedBy: 'identities',
      expected: list(spiffeIds),
      holds: ({ peer }) => peer.spiffeId !== undefined && accepted.has(peer.spiffeId),
      got: ({ peer }) => orNone(peer.spiffeId),
      change: `call as ${oneOf(spiffeIds)}`,
    })
  }
  if (namespaces !== undefined) {
    const accepted = new Set(namespaces)
    conditions.push({
      field: 'from.namespaces',
      expected: list(namespaces),
      holds: ({ peer }) =>
        peer.namespace !== undefined && peer.trustDomain === trustDomain && accepted.has(peer.namespace),
      got: ({ peer }) =>
        peer.trustDomain === undefined || peer.trustDomain === trustDomain
          ? orNone(peer.namespace)
          : orNone(peer.spiffeId),
      change:
        namespaces.length === 1
          ? `call from namespace ${namespaces[0]}`
          : `call from one of the namespaces ${list(namespaces)}`,
    })
  }
  if (trustDomains !== undefined) {
    const accepted: ReadonlySet<string> = new Set<string>(
      collect(trustDomains, 'trustDomains', issues, parseTrustDomain),
    )
    conditions.push({
      field: 'from.trustDomains',
      expected: list(trustDomains),
      holds: ({ peer }) => peer.trustDomain !== undefined && accepted.has(peer.trustDomain),
      got: ({ peer }) => orNone(peer.trustDomain),
      change: `call with a certificate of ${oneOf(trustDomains)}`,
    })
  }
  if (ipBlocks !== undefined) {
    const blocks = collect(ipBlocks, 'ipBlocks', issues, parseCidr)
    conditions.push({
      field: 'from.ipBlocks',
      expected: list(ipBlocks),
      holds: ({ clientIp }) => isWithin(blocks, clientIp, effect),
      got: ({ clientIp }) => clientIp,
      change: `call from an address in ${oneOf(ipBlocks)}`,
    })
  }
  if (issuers !== undefined) {
    const accepted = new Set(issuers)
    conditions.push({
      field: 'from.issuers',
      expected: list(issuers),
      holds: (_, { token }) => token !== undefined && accepted.has(token.issuer),
      got: (_, { token }) => (token === undefined ? 'no token' : token.issuer),
      change: `send a token of ${oneOf(issuers)}`,
    })
  }
  if (clients !== undefined) {
    const accepted = new Set(clients)
    conditions.push({
      field: 'from.clients',
      expected: list(clients),
      holds: (_, { client }) => client !== undefined && accepted.has(client.id),
      got: (_, { client }) => client?.id ?? 'no API key',
      change: `send an API key of ${oneOf(clients)}`,
    })
  }
  for (const [i, { claim, values }] of (claims ?? []).entries()) {
    const pointer = parseJsonPointer(claim)
    if (!pointer.ok) {
      issues.push(...pointer.issues.map((found) => under(`claims[${i}].claim`, found)))
      continue
    }
    const accepted = new Set(values)
    const valuesOf = ({ token }: Facts) => claimValues(claim, pointer.value.read(token?.claims))
    conditions.push({
      field: `from.claims[${claim}]`,
      expected: list(values),
      holds: (_, facts) => facts.token !== undefined && valuesOf(facts).some((value) => accepted.has(value)),
      got: (_, facts) => (facts.token === undefined ? 'no token' : list(valuesOf(facts)) || 'no such claim'),
      change: `send a token whose ${claim} is ${oneOf(values)}`,
    })
  }
  return issues.length > 0 ? fail(...issues) : ok({ identities, conditions })
}

function compileTo({ methods, hosts, ports, headers }: To, effect: Effect): Result<readonly Condition[]> {
  const issues: Issue[] = []
  const conditions: Condition[] = []
  if (methods !== undefined) {
    const accepted = new Set(methods)
    // A handler of GET answers HEAD too (RFC 9110, 9.3.2).
    if (effect === 'deny' && accepted.has('GET')) accepted.add('HEAD')
    conditions.push({
      field: 'to.methods',
      expected: list(methods),
      holds: ({ method }) => accepted.has(method),
      got: ({ method }) => method,
      change: `use ${oneOf(methods)}`,
    })
  }
  if (hosts !== undefined) {
    const patterns = collect(hosts, 'hosts', issues, parseHostPattern)
    conditions.push({
      field: 'to.hosts',
      expected: list(hosts),
      holds: ({ host }) => patterns.some((pattern) => pattern.matches(host)),
      got: ({ host }) => host,
      change: `ask for host ${oneOf(hosts)}`,
    })
  }
  if (ports !== undefined) {
    const accepted = new Set(ports)
    const written = ports.map(String)
    conditions.push({
      field: 'to.ports',
      expected: list(written),
      holds: ({ port }) => accepted.has(port),
      got: ({ port }) => String(port),
      change: `call port ${oneOf(written)}`,
    })
  }
  for (const [i, { name, values }] of (headers ?? []).entries()) {
    const parsed = parseHeaderPattern(name, values)
    if (!parsed.ok) {
      issues.push(...parsed.issues.map((found) => under(`headers[${i}]`, found)))
      continue
    }
    const pattern = parsed.value
    const expected = values === undefined ? 'any value' : list(values)
    conditions.push({
      field: `to.headers[${pattern.name}]`,
      expected,
      holds: (request) => {
        const sent = request.headers(pattern.name)
        return effect === 'allow' ? pattern.matches(sent) : pattern.touches(sent)
      },
      got: (request) => (request.headers(pattern.name).length === 0 ? 'not sent' : 'another value'),
      change: `send ${pattern.name}${values === undefined ? '' : `: ${oneOf(values)}`}`,
    })
  }
  return issues.length > 0 ? fail(...issues) : ok(conditions)
}

/** `to.paths` and `when` hang together: the expression sees the variables of the pattern that matched. */
function compileWhen({ to, when }: Rule, effect: Effect): Result<readonly Condition[]> {
  const issues: Issue[] = []
  const paths = to?.paths
  const patterns = collect(paths ?? [], 'to.paths', issues, parsePathPattern)
  const expression = when === undefined ? undefined : parseWhen(when)
  if (expression?.ok === false) issues.push(...expression.issues.map((found) => under('when', found)))
  if (expression?.ok) issues.push(...unknownVariables(expression.value, patterns))
  if (issues.length > 0) return fail(...issues)

  const readings = patterns.flatMap((pattern) => (effect === 'deny' ? [pattern, lenient(pattern)] : [pattern]))
  const conditions: Condition[] = []
  if (paths !== undefined) {
    conditions.push({
      field: 'to.paths',
      ...(expression === undefined ? {} : { impliedBy: 'when' }),
      expected: list(paths),
      holds: ({ path }) => readings.some((reading) => reading.matches(path)),
      got: ({ path }) => path,
      change: `ask for ${oneOf(paths)}`,
    })
  }
  if (expression?.ok) {
    const { evaluate, firstFailure, text } = expression.value
    const holds = (outcome: WhenOutcome) => (typeof outcome === 'boolean' ? outcome : effect === 'deny')
    const bindings = ({ path }: RequestView): readonly PathVariables[] =>
      paths === undefined
        ? [NO_VARIABLES]
        : readings.map((reading) => reading.variables(path)).filter((variables) => variables !== undefined)
    conditions.push({
      field: 'when',
      expected: text,
      holds: (request, facts) => bindings(request).some((variables) => holds(evaluate(request, facts, variables))),
      got(request, facts) {
        const failure = firstFailure(request, facts, bindings(request)[0] ?? NO_VARIABLES)
        return failure === undefined ? 'true' : `${failure.expression} came to ${failure.outcome}`
      },
      change: `make ${text} true`,
    })
  }
  return ok(conditions)
}

const NO_VARIABLES: PathVariables = Object.freeze(Object.create(null))

function unknownVariables(
  { pathVariables }: WhenExpression,
  patterns: readonly { names: readonly string[] }[],
): Issue[] {
  const names = new Set(patterns.flatMap((pattern) => pattern.names))
  return pathVariables
    .filter((name) => !names.has(name))
    .map((name) =>
      issue(
        'unknown-path-variable',
        'when',
        `reads path.${name}, which no path of this rule has`,
        names.size === 0
          ? `add a path with {${name}} to to.paths`
          : `there is ${[...names].map((known) => `path.${known}`).join(', ')}`,
      ),
    )
}

/** An address that cannot be read is in no block for a rule that allows, and in every one for a rule that denies. */
function isWithin(blocks: readonly Cidr[], clientIp: string, effect: Effect): boolean {
  const address = readIpAddress(clientIp)
  if (address === undefined) return effect === 'deny'
  return blocks.some((block) => block.contains(address))
}

function collect<T>(
  written: readonly string[],
  field: string,
  issues: Issue[],
  parse: (text: string) => Result<T>,
): readonly T[] {
  const values: T[] = []
  for (const [i, text] of written.entries()) {
    const parsed = parse(text)
    if (parsed.ok) values.push(parsed.value)
    else issues.push(...parsed.issues.map((found) => under(`${field}[${i}]`, { ...found, path: '' })))
  }
  return values
}

function list(values: readonly string[]): string {
  return values.join(', ')
}

function oneOf(values: readonly string[]): string {
  return values.length < 2 ? list(values) : `one of ${list(values)}`
}
