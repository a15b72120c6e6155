import type { ApiKeyConfig } from '../../policies/api-key/config.ts'
import { apiKey } from '../../policies/api-key/filter.ts'
import type { AuthorizationConfig, Rule } from '../../policies/authorization/config.ts'
import type { Chain, Pipeline } from '../../sidecar/compile/pipeline.ts'
import { type Asked, viewOf } from './asked.ts'
import { callAs, type Edit, editsFor, sendKeyOf, sendTokenOf } from './edit.ts'
import { judge, jwtConfigOf, tokenOf, verifyingStep } from './judge.ts'
import { authorizationOf, failingFields, type RuleWords } from './meets.ts'

/** Rules that are tried, those with the fewest conditions that fail first. */
const MAX_RULES = 16

/** Ways to satisfy one rule that are tried, and how many changes one of them may be. */
const MAX_WAYS = 64
const MAX_EDITS = 6

/** Ways that are told. */
const MAX_TOLD = 3

/** Changes that are needed together. */
export type Way = readonly Edit[]

/**
 * The smallest changes to a refused request that would let it pass, each way a list of changes that are needed together.
 * Every one of them was tried: the policies themselves said yes. Empty: none was found.
 */
export function smallestChanges(pipeline: Pipeline, asked: Asked): readonly (readonly string[])[] {
  return grouped(smallestWays(pipeline, asked)).slice(0, MAX_TOLD)
}

/** As {@link smallestChanges}, one way for each value of each change. */
export function smallestWays(pipeline: Pipeline, asked: Asked): readonly Way[] {
  const ways = [...waysOf(pipeline, asked)].filter(
    (way) => way.length > 0 && way.length <= MAX_EDITS && isAllowed(pipeline, applied(asked, way)),
  )
  const smallest = Math.min(...ways.map(({ length }) => length))
  return ways.filter(({ length }) => length === smallest)
}

function isAllowed(pipeline: Pipeline, asked: Asked): boolean {
  const judgement = judge(pipeline, asked)
  return judgement.kind === 'judged' && judgement.explanation.outcome !== 'denied'
}

/** The request with these changes. */
export function applied(asked: Asked, way: Way): Asked {
  return way.reduce((before, edit) => edit.apply(before), asked)
}

/** Ways that may help: a caller where there must be one, a token where one is asked for, then what some allow rule says. */
function* waysOf(pipeline: Pipeline, asked: Asked): Generator<Way> {
  for (const caller of callersFor(pipeline, asked)) {
    const met = applied(asked, caller)
    const judgement = judge(pipeline, met)
    if (judgement.kind !== 'judged') continue
    const { chain } = judgement
    const config = authorizationOf(chain)
    for (const key of keysFor(chain, met)) {
      for (const token of tokensFor(chain, met)) {
        const start = [...caller, ...key, ...token]
        if (config === undefined) yield start
        else yield* authorizedWays(config, start, asked, chain)
      }
    }
  }
}

function* authorizedWays(config: AuthorizationConfig, start: Way, asked: Asked, chain: Chain): Generator<Way> {
  const { trustDomain } = config
  const now = applied(asked, start)
  const restriction = config.onlyFrom.find(({ from }) => failingFields({ from }, now, chain, trustDomain).length > 0)
  const restrictions = restriction === undefined ? [[]] : bounded(conditionWays({ from: restriction.from }, now, chain))
  for (const from of restrictions) {
    yield [...start, ...from]
    const here = applied(now, from)
    for (const rule of nearestRules(config, here, chain)) {
      for (const way of bounded(conditionWays(rule, here, chain))) {
        const whole = [...start, ...from, ...way]
        yield whole
        yield* escapes(config, whole)
      }
    }
  }

  /** One condition after the other is satisfied, in every way there is. */
  function* conditionWays(rule: RuleWords, before: Asked, at: Chain, left = MAX_EDITS): Generator<Way> {
    const [field] = failingFields(rule, before, at, trustDomain)
    if (field === undefined) return yield []
    if (left === 0) return
    for (const edit of editsOf(field, rule, before, at)) {
      const after = edit.apply(before)
      if (JSON.stringify(after) === JSON.stringify(before)) continue
      for (const rest of conditionWays(rule, after, at, left - 1)) yield [edit, ...rest]
    }
  }

  function editsOf(field: string, rule: RuleWords, before: Asked, at: Chain): readonly Edit[] {
    if (field !== 'from.issuers') {
      const edits = editsFor(field, rule, before, trustDomain)
      // A claim is somebody's word: without a token there is none to say it.
      return before.claims === undefined ? edits.filter((edit) => !edit.field.startsWith('claim ')) : edits
    }
    const issuers = jwtConfigOf(at)?.issuers ?? []
    return issuers.filter(({ name }) => rule.from?.issuers?.includes(name)).map(sendTokenOf)
  }
}

function bounded(ways: Iterable<Way>): readonly Way[] {
  const taken: Way[] = []
  for (const way of ways) {
    taken.push(way)
    if (taken.length === MAX_WAYS) break
  }
  return taken
}

/** Under Strict somebody must call: whoever the rules speak of, or anybody of the mesh. */
function callersFor(pipeline: Pipeline, asked: Asked): readonly Way[] {
  const { role, identity, workload } = pipeline.config
  const inbound = pipeline.inbound.get(asked.port)
  if (asked.caller !== undefined || role === 'gateway' || inbound?.listener.mtls !== 'Strict') return [[]]
  const chain = inbound.listener.protocol === 'tcp' ? inbound.tcp : inbound.route(viewOf(asked))?.chain
  const rules = (chain && authorizationOf(chain)?.allow) ?? []
  const accounts = new Set(rules.flatMap(({ from }) => from?.serviceAccounts ?? []))
  const [namespace = ''] = workload.split('/')
  const anybody: Edit = {
    ...callAs(identity.trustDomain, `${namespace}/default`),
    wording: 'call through the sidecar of a workload of …',
    value: 'the mesh',
  }
  return [...[...accounts].slice(0, MAX_RULES).map((account) => [callAs(identity.trustDomain, account)]), [anybody]]
}

/** Clients whose keys are tried at most, where one is asked for. */
const MAX_CLIENTS = 4

function keysFor({ enforced }: Chain, asked: Asked): readonly Way[] {
  const step = enforced.find(({ filter, unresolved }) => filter === apiKey && unresolved === undefined)
  if (step === undefined) return [[]]
  const facts = asked.client === undefined ? {} : { client: { id: asked.client } }
  const isFine = step.filter.explain(step.config, viewOf(asked), facts).every(({ outcome }) => outcome !== 'denied')
  if (isFine) return [[]]
  const clients = new Set((step.config as ApiKeyConfig).keys.map(({ client }) => client))
  return [...clients].slice(0, MAX_CLIENTS).map((client) => [sendKeyOf(client)])
}

function tokensFor(chain: Chain, asked: Asked): readonly Way[] {
  const config = jwtConfigOf(chain)
  if (config === undefined) return [[]]
  const step = verifyingStep(chain.enforced)
  const facts = asked.claims === undefined ? {} : { token: tokenOf(asked.claims, chain) }
  const isFine =
    step?.filter.explain(config, viewOf(asked), facts).every(({ outcome }) => outcome !== 'denied') === true
  const tokens = config.issuers.map((issuer) => [sendTokenOf(issuer)])
  if (!isFine) return tokens
  // A token may be what the rules want even where nobody asks for one.
  return asked.claims === undefined ? [[], ...tokens] : [[]]
}

function nearestRules({ allow, trustDomain }: AuthorizationConfig, asked: Asked, chain: Chain): readonly Rule[] {
  return allow
    .map((rule) => ({ rule, failures: failingFields(rule, asked, chain, trustDomain).length }))
    .toSorted((a, b) => a.failures - b.failures)
    .slice(0, MAX_RULES)
    .map(({ rule }) => rule)
}

/** Where a deny rule is in the way: another caller that some allow rule names. */
function* escapes({ allow, deny, trustDomain }: AuthorizationConfig, way: Way): Generator<Way> {
  if (deny.length === 0 || way.some(({ field }) => field === 'caller')) return
  const accounts = new Set(allow.slice(0, MAX_RULES).flatMap(({ from }) => from?.serviceAccounts ?? []))
  for (const account of accounts) yield [...way, callAs(trustDomain, account)]
}

/** Ways that differ in the value of one change are one way with a choice. What changes the request comes before who sends it. */
function grouped(ways: readonly Way[]): readonly (readonly string[])[] {
  const unique = [...new Map(ways.map((way) => [way.map(textOf).toSorted().join('\n'), way])).values()]
  const groups = Map.groupBy(unique, (way) => way.map(kindOf).toSorted().join('\n'))
  return [...groups.values()]
    .flatMap((group) => {
      const [first = []] = group
      const choices = (edit: Edit) => [
        ...new Set(
          group.flatMap((way) => way.filter((other) => kindOf(other) === kindOf(edit)).map(({ value }) => value)),
        ),
      ]
      // Only where every choice goes with every other is it one way to say it.
      if (first.reduce((product, edit) => product * choices(edit).length, 1) !== group.length) {
        return group.map((way) => ({ way, texts: way.map(textOf) }))
      }
      return [{ way: first, texts: first.map((edit) => edit.wording.replace('…', choices(edit).join(' or '))) }]
    })
    .toSorted((a, b) => weightOf(a.way) - weightOf(b.way))
    .map(({ texts }) => texts)
}

function kindOf({ field, wording }: Edit): string {
  return `${field} ${wording}`
}

function textOf({ wording, value }: Edit): string {
  return wording.replace('…', value)
}

const WEIGHTS: Readonly<Record<string, number>> = {
  path: 1,
  host: 1,
  address: 2,
  method: 3,
  token: 3,
  key: 3,
  caller: 4,
}

function weightOf(way: Way): number {
  return way.reduce((sum, { field }) => sum + (WEIGHTS[field] ?? 2), 0)
}
