import { parseSpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'
import type { AuthorizationConfig, From, Rule, To } from '../../policies/authorization/config.ts'
import { authorization } from '../../policies/authorization/filter.ts'
import type { Chain, Pipeline } from '../../sidecar/compile/pipeline.ts'
import { type Asked, viewOf } from './asked.ts'
import { judge, jwtConfigOf, tokenOf } from './judge.ts'
import { authorizationOf, failingFields } from './meets.ts'

/** What could be different about the policies for a request to pass. */
export type PolicyChange =
  /** A rule takes more than it did. */
  | { readonly kind: 'widen'; readonly rule: string; readonly origin: string; readonly additions: readonly Addition[] }
  /** No rule is near: a rule of its own. */
  | { readonly kind: 'add'; readonly rule: NewRule }
  /** There is no policy: one with this rule. */
  | {
      readonly kind: 'create'
      readonly rule: NewRule
      readonly service?: { readonly namespace: string; readonly name: string }
    }

export interface Addition {
  /** `from.serviceAccounts`. */
  readonly field: string
  readonly value: string
}

export interface NewRule {
  readonly name: string
  readonly from?: From
  readonly to?: To
}

/** Values that a rule is widened by at most: more than that is another rule. */
const MAX_ADDITIONS = 2

/**
 * The smallest change to the allow rules that would let a refused request pass. It was tried: with it, the policies say
 * yes. Undefined where no allow rule would (a deny rule, a token that is missing).
 */
export function smallestPolicyChange(pipeline: Pipeline, asked: Asked): PolicyChange | undefined {
  const judgement = judge(pipeline, asked)
  if (judgement.kind !== 'judged' || judgement.explanation.filter !== authorization.name) return undefined
  const { chain } = judgement
  const config = authorizationOf(chain)
  if (config === undefined) return undefined
  const { trustDomain } = config
  const helps = (allow: readonly Rule[]) => isAllowedWith(pipeline, asked, { ...config, allow: [...allow] })

  const all = config.allow.map((rule, i) => ({ rule, i, failing: failingFields(rule, asked, chain, trustDomain) }))
  const near = all
    .map((each) => ({ ...each, failing: wordsFailing(each.failing) }))
    .filter(({ failing }) => failing.length <= MAX_ADDITIONS)
    .toSorted((a, b) => a.failing.length - b.failing.length)
  // Where a rule speaks of this very thing and says no, it means it: another rule is not stretched to let it through.
  const speaking = all.filter(({ failing }) => !failing.some((field) => field.startsWith('to.'))).map(({ i }) => i)
  for (const { rule, i, failing } of near) {
    if (speaking.length > 0 && !speaking.includes(i)) continue
    const additions = failing.map((field) => additionFor(field, asked, chain))
    if (!additions.every((addition) => addition !== undefined)) continue
    if (helps(config.allow.with(i, widened(rule, additions)))) {
      return { kind: 'widen', rule: rule.name, origin: rule.origin, additions }
    }
  }
  if (speaking.length > 0) return undefined
  const rule = newRule(asked, config)
  if (!helps([...config.allow, { origin: '', ...rule }])) return undefined
  if (config.otherwise !== 'no-policy') return { kind: 'add', rule }
  const [, namespace, name] = /^Service\/([^/]+)\/([^:]+):/.exec(judgement.route?.id ?? '') ?? []
  return {
    kind: 'create',
    rule,
    ...(namespace !== undefined && name !== undefined && { service: { namespace, name } }),
  }
}

function isAllowedWith(pipeline: Pipeline, asked: Asked, config: AuthorizationConfig): boolean {
  const replaced = (chain: Chain): Chain => ({
    enforced: chain.enforced.map((step) => (step.filter.name === authorization.name ? { ...step, config } : step)),
  })
  const judgement = judge(pipeline, asked, replaced)
  return judgement.kind === 'judged' && judgement.explanation.outcome !== 'denied'
}

/** An expression is not asked about a path that the rule is not for, and may be true of it. */
function wordsFailing(fields: readonly string[]): readonly string[] {
  return fields.includes('to.paths') ? fields.filter((field) => field !== 'when') : fields
}

/** The request's own value for a field of a rule; undefined where a rule would have to be written anew. */
function additionFor(field: string, asked: Asked, chain: Chain): Addition | undefined {
  const value = valueFor(field, asked, chain)
  return value === undefined ? undefined : { field, value }
}

function valueFor(field: string, asked: Asked, chain: Chain): string | undefined {
  const account = accountOf(asked)
  switch (field) {
    case 'from.serviceAccounts':
      return account && `${account.namespace}/${account.serviceAccount}`
    case 'from.namespaces':
      return account?.namespace
    case 'from.spiffeIds':
      return asked.caller
    case 'from.ipBlocks':
      return asked.clientIp
    case 'from.issuers':
      return asked.claims !== undefined && jwtConfigOf(chain) !== undefined
        ? tokenOf(asked.claims, chain).issuer
        : undefined
    case 'from.clients':
      return asked.client
    case 'to.methods':
      return asked.method
    case 'to.hosts':
      return asked.host
    case 'to.paths':
      return asked.path
    case 'to.ports':
      return String(asked.port)
    default:
      return undefined
  }
}

function widened(rule: Rule, additions: readonly Addition[]): Rule {
  let wide = rule
  for (const { field, value } of additions) {
    const [side, name = ''] = field.split('.') as ['from' | 'to', string]
    const part = wide[side] as Readonly<Record<string, readonly unknown[]>>
    wide = { ...wide, [side]: { ...part, [name]: [...(part[name] ?? []), name === 'ports' ? Number(value) : value] } }
  }
  return wide
}

function newRule(asked: Asked, { allow, deny }: AuthorizationConfig): NewRule {
  const account = accountOf(asked)
  const taken = new Set([...allow, ...deny].map(({ name }) => name))
  const wanted = account === undefined ? 'anybody' : account.serviceAccount
  const name = [wanted, `${wanted}-may`, `${wanted}-${viewOf(asked).method.toLowerCase()}`].find(
    (one) => !taken.has(one),
  )
  return {
    name: name ?? 'another-rule',
    ...(account !== undefined && { from: { serviceAccounts: [`${account.namespace}/${account.serviceAccount}`] } }),
    ...(asked.protocol === 'http' && { to: { methods: [asked.method], paths: [asked.path] } }),
  }
}

function accountOf({ caller }: Asked) {
  const id = caller === undefined ? undefined : parseSpiffeId(caller)
  return id?.ok === true ? serviceAccountOf(id.value) : undefined
}
