import { HTTP_METHODS } from '../../model/http-method.ts'
import { formatOrigin, type Origin } from '../../model/origin.ts'
import { fail, type Issue, issue, ok, under } from '../../model/result.ts'
import { type Attached, type Combined, defineSection, type Levels, type SectionContext } from '../../model/section.ts'
import { parseTrustDomain, type TrustDomain } from '../../model/spiffe-id.ts'
import type { AuthorizationConfig, From, Rule, To } from './config.ts'
import { compileFrom, compileRule, type Effect } from './rule.ts'
import { AUTHORIZATION_FLOOR_SCHEMA, AUTHORIZATION_SCHEMA } from './schema.ts'
import { parseWhen } from './when-expression.ts'

/** `authorization` as a policy writes it. */
export interface AuthorizationSpec {
  readonly default?: 'Deny' | 'Allow'
  readonly deny?: readonly RuleSpec[]
  readonly allow?: readonly RuleSpec[]
  /** In a floor only. */
  readonly onlyFrom?: From
}

export interface RuleSpec {
  readonly name: string
  readonly from?: From
  readonly to?: To
  readonly when?: string
}

/** The config, and where each rule that refers to something stands in its policy. */
export interface AuthorizationValue {
  readonly config: AuthorizationConfig
  readonly issuers: readonly { readonly name: string; readonly path: string; readonly origin: Origin }[]
}

/**
 * Deny rules of all levels apply, and so does every floor's `onlyFrom`. Allow rules of floors and policies add up; those
 * of defaults, and their `default`, count where no policy says `allow` or `default`. Of several defaults Deny counts.
 */
export const authorizationSection = defineSection<AuthorizationSpec, AuthorizationValue, AuthorizationConfig>({
  filter: 'authorization',
  name: 'authorization',
  schema: { authorization: AUTHORIZATION_SCHEMA },
  floorSchema: { authorization: AUTHORIZATION_FLOOR_SCHEMA },
  pick: (spec) => spec['authorization'] as AuthorizationSpec | undefined,
  review,
  combine,
  translate({ config, issuers }, context) {
    const missing = issuers.filter(({ name }) => context.tokenIssuer(name) === undefined)
    if (missing.length === 0) return ok(config)
    return fail(
      ...missing.map(({ name, path, origin }) => ({
        ...issue(
          'unresolved-token-issuer',
          path,
          `names the TokenIssuer ${name}, which does not exist or does not admit namespace ${context.namespace}`,
          'create it, or add the namespace to its allowedNamespaces',
        ),
        resource: [origin.kind, origin.namespace, origin.name].filter((part) => part !== undefined).join('/'),
      })),
    )
  },
})

/** Stands for the mesh's own where only the form of a rule matters. */
const ANY_TRUST_DOMAIN = parseTrustDomain('review') as { readonly value: TrustDomain }

function review(spec: AuthorizationSpec): readonly Issue[] {
  const issues: Issue[] = []
  const trustDomain = ANY_TRUST_DOMAIN.value
  const names = new Set<string>()
  for (const effect of ['deny', 'allow'] as const) {
    for (const [i, rule] of (spec[effect] ?? []).entries()) {
      const path = `authorization.${effect}[${i}]`
      if (names.has(rule.name)) {
        issues.push(issue('duplicate-rule', `${path}.name`, `is ${rule.name} again`, 'give each rule its own name'))
      }
      names.add(rule.name)
      issues.push(...unknownMethods(rule.to?.methods ?? [], `${path}.to.methods`))
      const compiled = compileRule({ ...qualified(rule, 'review'), origin: '' }, effect, trustDomain)
      if (!compiled.ok) issues.push(...compiled.issues.map((found) => under(path, found)))
    }
  }
  if (spec.onlyFrom !== undefined) {
    const compiled = compileFrom(qualifiedFrom(spec.onlyFrom, 'review'), 'allow', trustDomain)
    if (!compiled.ok) issues.push(...compiled.issues.map((found) => under('authorization.onlyFrom', found)))
  }
  if (spec.default === 'Allow' && spec.allow !== undefined) {
    issues.push({
      ...issue(
        'allow-without-effect',
        'authorization.default',
        'is Allow, so that the allow list beside it changes nothing',
        'leave default out: an allow list implies Deny',
      ),
      severity: 'warning',
    })
  }
  return issues
}

/** No proxy lets a request with such a method come as far as the rules. */
function unknownMethods(methods: readonly string[], path: string): readonly Issue[] {
  return methods.flatMap((method, i) => {
    if (KNOWN_METHODS.has(method)) return []
    const upper = method.toUpperCase()
    const fix = KNOWN_METHODS.has(upper)
      ? `write ${upper}: methods are case-sensitive`
      : 'write GET, POST, PUT, or another'
    const found = issue('unknown-method', `${path}[${i}]`, `${method} is no method that requests have`, fix)
    return [{ ...found, severity: 'warning' as const }]
  })
}

const KNOWN_METHODS: ReadonlySet<string> = new Set(HTTP_METHODS)

function combine(levels: Levels<AuthorizationSpec>, context: SectionContext): Combined<AuthorizationValue> {
  const { floor, policies, defaults } = levels
  const everything = [...floor, ...policies, ...defaults]
  const policiesDecide = policies.some(({ spec }) => spec.allow !== undefined || spec.default !== undefined)
  const deciding = policiesDecide ? [...floor, ...policies] : everything

  const notApplied: { origin: Origin; path: string; reason: string }[] = []
  const issuers: { name: string; path: string; origin: Origin }[] = []
  const rulesOf = (sources: readonly Attached<AuthorizationSpec>[], effect: Effect): Rule[] =>
    sources.flatMap(({ spec, origin }) =>
      (spec[effect] ?? []).flatMap((rule, i) => {
        const path = `authorization.${effect}[${i}]`
        const field = context.protocol === 'tcp' ? httpField(rule) : undefined
        if (field !== undefined) {
          notApplied.push({ origin, path, reason: `${rule.name} has ${field}, which a TCP connection does not have` })
          return []
        }
        for (const [j, name] of (rule.from?.issuers ?? []).entries()) {
          issuers.push({ name, path: `${path}.from.issuers[${j}]`, origin })
        }
        const namespace = origin.namespace ?? context.namespace
        return [{ ...qualified(rule, namespace), origin: formatOrigin(origin) }]
      }),
    )

  const config: AuthorizationConfig = {
    trustDomain: context.trustDomain,
    onlyFrom: floor.flatMap(({ spec, origin }) =>
      spec.onlyFrom === undefined
        ? []
        : [{ origin: formatOrigin(origin), from: qualifiedFrom(spec.onlyFrom, origin.namespace ?? context.namespace) }],
    ),
    deny: rulesOf(everything, 'deny'),
    allow: rulesOf(deciding, 'allow'),
    otherwise: otherwiseOf(deciding, policies.length + defaults.length > 0, context),
  }
  return {
    value: { config, issuers },
    origins: everything.map(({ origin }) => origin),
    ...(notApplied.length > 0 && { notApplied }),
  }
}

function otherwiseOf(
  deciding: readonly Attached<AuthorizationSpec>[],
  hasPolicy: boolean,
  { authorizationDefault }: SectionContext,
): AuthorizationConfig['otherwise'] {
  const said = deciding
    .map(({ spec }) => spec.default ?? (spec.allow === undefined ? undefined : 'Deny'))
    .filter((word) => word !== undefined)
  if (said.includes('Deny')) return 'deny'
  if (said.includes('Allow') || authorizationDefault === 'Allow') return 'allow'
  return hasPolicy ? 'deny' : 'no-policy'
}

/** The first field of a rule that a TCP connection has nothing for; undefined when the rule fits both. */
function httpField({ from, to, when }: RuleSpec): string | undefined {
  if (from?.issuers !== undefined) return 'from.issuers'
  if (from?.clients !== undefined) return 'from.clients'
  if (from?.claims !== undefined) return 'from.claims'
  if (to?.methods !== undefined) return 'to.methods'
  if (to?.hosts !== undefined) return 'to.hosts'
  if (to?.paths !== undefined) return 'to.paths'
  if (to?.headers !== undefined) return 'to.headers'
  if (when === undefined) return undefined
  const parsed = parseWhen(when)
  return parsed.ok && !parsed.value.fitsTcp ? 'when' : undefined
}

function qualified<R extends RuleSpec>(rule: R, namespace: string): R {
  return rule.from === undefined ? rule : { ...rule, from: qualifiedFrom(rule.from, namespace) }
}

/** Service accounts with their namespaces written out. */
function qualifiedFrom(from: From, namespace: string): From {
  if (from.serviceAccounts === undefined) return from
  const serviceAccounts = from.serviceAccounts.map((name) => (name.includes('/') ? name : `${namespace}/${name}`))
  return { ...from, serviceAccounts }
}
