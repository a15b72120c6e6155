import { type Check, defineFilter, type FilterDeps } from '../../model/filter.ts'
import type { RequestView } from '../../model/request.ts'
import { fail, ok } from '../../model/result.ts'
import { CONTINUE, type Deny, type HeaderPair, type Verdict } from '../../model/verdict.ts'
import { compileExemptions } from '../exemptions/compile.ts'
import { BadTokenBudget, sourceOf } from '../jwt/bad-token-budget.ts'
import { compileClaimHeaders } from '../jwt/claim-headers.ts'
import { MAX_TOKEN_BYTES } from '../jwt/config.ts'
import { dropLogin, findToken, SEVERAL, type TokenPlace, tokenPlaceOf } from '../jwt/token-location.ts'
import { readWire } from '../read-wire.ts'
import { type OnAbandoned, SharedAnswers } from '../shared-answers.ts'
import { type IntrospectedIssuer, IntrospectionConfig } from './config.ts'
import {
  INTROSPECTION_DENIALS,
  INTROSPECTION_UNAVAILABLE,
  OPAQUE_TOKEN_INACTIVE,
  OPAQUE_TOKEN_MISSING,
  TOO_MANY_UNKNOWN_TOKENS,
  TWO_OPAQUE_TOKENS,
} from './denials.ts'
import { explainIntrospection } from './explain.ts'
import { type Introspected, introspect } from './introspect.ts'

const FILTER = 'introspection'

/** Milliseconds that a token is remembered to be none. */
export const INACTIVE_FOR_MS = 5_000

/** Tokens that are remembered of one issuer by one policy. */
export const MAX_TOKENS = 20_000

/**
 * Asks who the user is where tokens say nothing by themselves: their issuer does (RFC 7662). What it says stands in
 * `facts.token`, as what `jwt` reads does.
 */
export const introspection = defineFilter<IntrospectionConfig>({
  name: FILTER,
  denials: INTROSPECTION_DENIALS,
  repeatable: true,
  tcp: false,
  verifiesToken: true,
  asksServices: true,
  since: () => 3,
  decode: (wire) => readWire(IntrospectionConfig, wire),
  compile(config, deps) {
    const exemptions = compileExemptions(config.exempt, config.exemptWithin)
    const claimHeaders = compileClaimHeaders(config.claimHeaders)
    if (!exemptions.ok || !claimHeaders.ok) {
      return fail(...(exemptions.ok ? [] : exemptions.issues), ...(claimHeaders.ok ? [] : claimHeaders.issues))
    }
    const places = config.locations.map(tokenPlaceOf)
    const issuers = config.issuers.map((issuer) => createIssuer(issuer, deps))
    const budget = deps.remember('bad tokens', () => new BadTokenBudget())
    const deny = refusalsFor(config)
    const { clock, crypto } = deps

    const check: Check = (request, facts) => {
      const pass = (place: TokenPlace | undefined) => {
        claimHeaders.value.apply(facts, facts.token)
        if (config.forward === 'strip') place?.strip(request, facts)
        return CONTINUE
      }
      if (exemptions.value.admits(request)) {
        facts.exempt = true
        // What nobody verified is not passed on as if somebody had.
        if (config.forward === 'strip') {
          dropLogin(facts)
          for (const place of places) place.strip(request, facts)
        }
        return pass(undefined)
      }
      const found = findToken(places, request, facts)
      if (found === undefined) return config.required ? deny.missing : pass(undefined)
      if (found === SEVERAL) return deny.several
      if (!isToken(found.text)) return deny.inactive('no characters that a token has')
      const conclude = ({ issuer, said }: Outcome): Verdict => {
        if (said.kind === 'active') {
          facts.token = said.token
          return pass(found.place)
        }
        if (said.kind === 'unavailable') {
          const { upstream } = issuer.config
          facts.externalAnswers = [
            ...(facts.externalAnswers ?? []),
            { filter: FILTER, upstream, outcome: 'unavailable', detail: said.detail },
          ]
          return deny.unavailable(`${issuer.config.name}: ${said.detail}`, issuer.config.name)
        }
        return deny.inactive(said.detail, issuer.config.name)
      }

      const hash = crypto.sha256(found.text)
      const known = recall(issuers, hash)
      if (known !== undefined) return conclude(known)
      const source = sourceOf(request)
      if (!budget.hasLeft(source, clock.monotonic())) return deny.tooMany
      return askAll(issuers, found.text, hash, abandonedBy(request)).then((outcome) => {
        if (outcome.said.kind === 'inactive') budget.charge(source, clock.monotonic())
        return conclude(outcome)
      })
    }
    return ok(check)
  },
  explain: explainIntrospection,
})

interface Issuer {
  readonly config: IntrospectedIssuer
  /** What is known of a token without asking. */
  recall(hash: string): Introspected | undefined
  ask(text: string, hash: string, onAbandoned: OnAbandoned | undefined): Promise<Introspected>
}

interface Outcome {
  readonly issuer: Issuer
  readonly said: Introspected
}

function createIssuer(config: IntrospectedIssuer, { calls, clock, revocations }: FilterDeps): Issuer {
  const { name, clockSkewMs, maxAgeMs } = config
  const answers = new SharedAnswers<Introspected>({
    now: clock.monotonic,
    maxAnswers: MAX_TOKENS,
    overloaded: { kind: 'unavailable', detail: 'too many questions are under way' },
    keepMs(said) {
      switch (said.kind) {
        case 'active':
          // In its last moments, which clock skew grants, a token is asked about each time.
          return Math.min(maxAgeMs, said.token.expiresAt * 1_000 - clock.now())
        case 'inactive':
          return INACTIVE_FOR_MS
        case 'unavailable':
          return 0
      }
    },
  })
  /** What was true when it was remembered, and may not be any more. */
  const current = (said: Introspected): Introspected => {
    if (said.kind !== 'active') return said
    const { token, jti, issuedAt, notBeforeMs } = said
    const nowMs = clock.now()
    if (nowMs >= token.expiresAt * 1_000 + clockSkewMs || nowMs < notBeforeMs - clockSkewMs) {
      return { kind: 'inactive', detail: 'exp is past' }
    }
    const revokedBy = revocations?.revokedBy({
      issuer: name,
      ...(jti !== undefined && { jti }),
      ...(token.subject !== undefined && { sub: token.subject }),
      ...(issuedAt !== undefined && { issuedAt }),
    })
    return revokedBy === undefined ? said : { kind: 'inactive', detail: `revoked by TokenRevocation ${revokedBy}` }
  }
  return {
    config,
    recall(hash) {
      const known = answers.get(hash)
      return known === undefined ? undefined : current(known)
    },
    async ask(text, hash, onAbandoned) {
      return current(
        await answers.ask(hash, (signal) => introspect(config, text, calls, clock.now, signal), onAbandoned),
      )
    },
  }
}

/** One that knows the token as active, or every one that knows it is not. */
function recall(issuers: readonly Issuer[], hash: string): Outcome | undefined {
  let last: Outcome | undefined
  for (const issuer of issuers) {
    const said = issuer.recall(hash)
    if (said === undefined) return undefined
    last = { issuer, said }
    if (said.kind === 'active') return last
  }
  return last
}

/** A token is no good only if each issuer says so: where one of them cannot be asked, nobody knows. */
async function askAll(
  issuers: readonly Issuer[],
  text: string,
  hash: string,
  onAbandoned: OnAbandoned | undefined,
): Promise<Outcome> {
  let worst: Outcome | undefined
  for (const issuer of issuers) {
    const said = issuer.recall(hash) ?? (await issuer.ask(text, hash, onAbandoned))
    if (said.kind === 'active') return { issuer, said }
    if (worst === undefined || said.kind === 'unavailable') worst = { issuer, said }
  }
  return worst as Outcome
}

function abandonedBy(request: RequestView): OnAbandoned | undefined {
  return request.onAbandoned === undefined ? undefined : (listener) => request.onAbandoned?.(listener) ?? (() => {})
}

/** RFC 6749, A.12: visible characters and spaces; a header has no spaces around it. */
function isToken(text: string): boolean {
  return text.length <= MAX_TOKEN_BYTES && /^[\x21-\x7e]+$/.test(text)
}

/** Refusals with the challenge that RFC 6750, 3 asks for: an `error` only where the request had a token. */
function refusalsFor({ locations }: IntrospectionConfig) {
  const scheme = locations.find((location) => location.kind === 'header' && location.scheme !== undefined)
  const word = scheme?.kind === 'header' ? (scheme.scheme ?? 'bearer') : 'bearer'
  const name = word.charAt(0).toUpperCase() + word.slice(1)
  const challenge = (error: string): readonly HeaderPair[] => [['www-authenticate', `${name}${error}`]]
  const invalid = challenge(' error="invalid_token"')
  const missing: Deny = { kind: 'deny', denial: OPAQUE_TOKEN_MISSING, headers: challenge('') }
  const several: Deny = { kind: 'deny', denial: TWO_OPAQUE_TOKENS, headers: challenge(' error="invalid_request"') }
  const tooMany: Deny = { kind: 'deny', denial: TOO_MANY_UNKNOWN_TOKENS, headers: [['retry-after', '1']] }
  return {
    ...{ missing, several, tooMany },
    inactive: (detail: string, rule?: string): Deny => ({
      ...{ kind: 'deny', denial: OPAQUE_TOKEN_INACTIVE, detail, headers: invalid },
      ...(rule !== undefined && { rule }),
    }),
    unavailable: (detail: string, rule: string): Deny => ({
      ...{ kind: 'deny', denial: INTROSPECTION_UNAVAILABLE, detail, rule, headers: [['retry-after', '1']] },
    }),
  }
}
