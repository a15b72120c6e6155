import { parseDuration } from '../../model/duration.ts'
import { MAX_TOKEN_TTL_SECONDS, MIN_TOKEN_TTL_SECONDS } from '../../model/internal-tokens.ts'
import { parseJsonPointer } from '../../model/match/json-pointer.ts'
import { formatOrigin } from '../../model/origin.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import {
  type Attached,
  type Combined,
  compareAttached,
  defineSection,
  type Levels,
  type SectionContext,
} from '../../model/section.ts'
import { readWire } from '../read-wire.ts'
import { InternalTokenConfig } from './config.ts'
import { scopeWords, tokenServiceOf } from './issuer.ts'
import { INTERNAL_TOKEN_SCHEMA } from './schema.ts'

/** `internalToken` as a policy writes it. */
export interface InternalTokenSpec {
  readonly required?: boolean
  readonly scope?: string
  readonly subject?: 'User' | 'Any'
  readonly binding?: 'Caller' | 'None'
  readonly forward?: 'Strip' | 'Keep'
  readonly ttl?: string
  readonly context?: { readonly claims?: readonly string[] }
  readonly calls?: { readonly scope?: string }
}

/** The config but for the token service, which has the name of the trust domain. */
export type InternalTokenValue = Omit<InternalTokenConfig, 'issuers'>

/**
 * Who speaks of it at all has tokens judged: floors and policies, or the defaults where no policy does. Everything is as strict as
 * anybody says, but for what a floor leaves open: `subject`, `binding` and `forward` are the most specific policy's.
 *
 * A gateway judges none: nobody outside the mesh has any.
 */
export const internalTokenSection = defineSection<InternalTokenSpec, InternalTokenValue, InternalTokenConfig>({
  filter: 'internal-token',
  name: 'internalToken',
  schema: { internalToken: INTERNAL_TOKEN_SCHEMA },
  pick: (spec) => spec['internalToken'] as InternalTokenSpec | undefined,
  review,
  combine: (levels, { role, protocol }) =>
    protocol === 'tcp' || role === 'gateway' ? undefined : combineAtService(levels),
  unapplied: atGateway,
  translate: (value, { trustDomain }) =>
    readWire(InternalTokenConfig, { ...value, issuers: [tokenServiceOf(trustDomain)] }),
})

function review({ ttl, context }: InternalTokenSpec): readonly Issue[] {
  const issues: Issue[] = []
  const parsed = ttl === undefined ? undefined : parseDuration(ttl)
  if (parsed?.ok === false) issues.push(...parsed.issues.map((found) => under('internalToken.ttl', found)))
  if (parsed?.ok && (parsed.value < MIN_TOKEN_TTL_SECONDS * 1_000 || parsed.value > MAX_TOKEN_TTL_SECONDS * 1_000)) {
    const range = `from ${MIN_TOKEN_TTL_SECONDS}s to ${MAX_TOKEN_TTL_SECONDS}s`
    issues.push(issue('out-of-range', 'internalToken.ttl', `is not ${range}`, `write a time ${range}`))
  }
  for (const [i, claim] of (context?.claims ?? []).entries()) {
    const pointer = parseJsonPointer(claim)
    if (pointer.ok) continue
    issues.push(...pointer.issues.map((found) => under(`internalToken.context.claims[${i}]`, found)))
  }
  return issues
}

type NotApplied = NonNullable<Combined<unknown>['notApplied']>[number]

/** What says which tokens are taken. */
const AT_SERVICES = ['required', 'subject', 'binding', 'forward', 'calls'] as const

function atGateway({ policies }: Levels<InternalTokenSpec>, { role }: SectionContext): readonly NotApplied[] {
  if (role !== 'gateway') return []
  return policies.flatMap(({ spec, origin }) =>
    AT_SERVICES.filter((field) => spec[field] !== undefined).map((field) => ({
      origin,
      path: `internalToken.${field}`,
      reason: 'a gateway takes no internal tokens, nobody outside of the mesh has any',
    })),
  )
}

/** Who speaks, the most specific first, and the floor that asks for tokens: one that only bounds what others may ask asks for none. */
export function asksOf(levels: Levels<InternalTokenSpec>) {
  const floor = levels.floor.toSorted(compareAttached)
  const policies = levels.policies.toSorted(compareAttached)
  const below = policies.length > 0 ? policies : levels.defaults.toSorted(compareAttached)
  return { floor, policies, below, requiring: floor.find(({ spec }) => spec.required === true) }
}

function combineAtService(levels: Levels<InternalTokenSpec>): Combined<InternalTokenValue> | undefined {
  const { floor, policies, below, requiring } = asksOf(levels)
  if (below.length === 0 && requiring === undefined) return undefined

  const notApplied: NotApplied[] = []
  const tellWeaker = (
    field: string,
    by: Attached<InternalTokenSpec>,
    isWeaker: (spec: InternalTokenSpec) => boolean,
  ) => {
    const reason = `the floor ${formatOrigin(by.origin)} is stricter`
    for (const { spec, origin } of policies) {
      if (isWeaker(spec)) notApplied.push({ origin, path: `internalToken.${field}`, reason, weakensFloor: true })
    }
  }
  if (requiring !== undefined) tellWeaker('required', requiring, ({ required }) => required === false)
  /** The floor's word where it is the strict one; else the most specific policy's, or the floor's; the strict one by default. */
  const settle = <Field extends 'subject' | 'binding' | 'forward'>(field: Field, strict: InternalTokenSpec[Field]) => {
    const bound = floor.find(({ spec }) => spec[field] === strict)
    if (bound === undefined) {
      return [...below, ...floor].find(({ spec }) => spec[field] !== undefined)?.spec[field] ?? strict
    }
    tellWeaker(field, bound, (spec) => spec[field] !== undefined && spec[field] !== strict)
    return strict
  }
  for (const { spec, origin } of policies) {
    if (spec.context === undefined) continue
    const reason = 'a gateway settles what is in a token'
    notApplied.push({ origin, path: 'internalToken.context', reason })
  }

  const everybody = [...floor, ...below]
  return {
    value: {
      required: requiring !== undefined || below.some(({ spec }) => spec.required !== false),
      scope: [...new Set(everybody.flatMap(({ spec }) => scopeWords(spec.scope)))].sort(),
      subject: settle('subject', 'User') === 'Any' ? 'any' : 'user',
      binding: settle('binding', 'Caller') === 'None' ? 'none' : 'caller',
      forward: settle('forward', 'Strip') === 'Keep' ? 'keep' : 'strip',
    },
    origins: everybody.map(({ origin }) => origin),
    ...(notApplied.length > 0 && { notApplied }),
  }
}
