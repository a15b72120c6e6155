import type { Consideration } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import { explainExemptions } from '../exemptions/explain.ts'
import { isMeantFor } from './claims.ts'
import { type CompactJws, JwsReader } from './compact-jws.ts'
import type { IssuerConfig, JwtConfig } from './config.ts'
import { TOKEN_INVALID, TOKEN_MISSING, TWO_TOKENS } from './denials.ts'
import { isInternal, isOfUserOf } from './exchanged.ts'
import { findToken, SEVERAL, tokenPlaceOf } from './token-location.ts'
import { normaliseType } from './token-type.ts'

/**
 * Every exemption, place and issuer considered; the last line is about the filter as a whole.
 *
 * No signature and no time is judged here. `facts.token` is a token that was verified, by the request's decision or by
 * whoever asks "what if"; of its claims, those that are there are held to what the issuer's tokens must say. A token that
 * is only in the request was verified by nobody: what is wrong with its form and claims is told, and it is never allowed.
 */
export function explainJwt(config: JwtConfig, request: RequestView, facts: Facts): readonly Consideration[] {
  const exempt = explainExemptions('jwt', config, request)
  if (exempt.some(({ outcome }) => outcome === 'matched')) {
    // As the check: what nobody verified, the checks after it do not see.
    facts.exempt = true
    if (!isInternal(facts.token)) delete facts.token
    return [...exempt, { filter: 'jwt', outcome: 'allowed', field: 'exempt', expected: 'no token', got: at(request) }]
  }
  return [...exempt, ...explainToken(config, request, facts)]
}

function explainToken(config: JwtConfig, request: RequestView, facts: Facts): readonly Consideration[] {
  const places = config.locations.map(tokenPlaceOf)
  const where = places.map(({ label }) => label).join(' or ')
  const allowed = (field: string, expected: string, got: string): Consideration => ({
    filter: 'jwt',
    outcome: 'allowed',
    field,
    expected,
    got,
  })
  const denied = (
    { name }: Denial,
    field: string,
    expected: string,
    got: string,
    change = `send a token of ${names(config)}`,
  ): Consideration => ({ filter: 'jwt', outcome: 'denied', denial: name, field, expected, got, change })

  const found = findToken(places, request, facts)
  if (found === SEVERAL) {
    return [denied(TWO_TOKENS, 'token', `one token in the ${where}`, 'more than one', 'send one token')]
  }
  if (isInternal(facts.token)) {
    if (found !== undefined) {
      return [denied(TWO_TOKENS, 'token', 'one token', 'one beside the internal token', 'send one token')]
    }
    if (isOfUserOf(facts.token, config)) return [allowed('token', names(config), 'an internal token of its user')]
    return config.required
      ? [denied(TOKEN_MISSING, 'token', `a token of ${names(config)}`, 'an internal token of nobody that it knows')]
      : [allowed('required', 'false', 'no token')]
  }
  if (facts.token !== undefined) {
    const { token } = facts
    const lines = config.issuers.map((issuer) =>
      token.issuer === issuer.name
        ? explainIssuer(issuer, token.claims, undefined)
        : notOf(issuer, 'issuer', issuer.name, token.issuer),
    )
    const good = lines.some(({ outcome }) => outcome === 'matched')
    return [
      ...lines,
      good
        ? allowed('token', names(config), token.issuer)
        : denied(TOKEN_INVALID, 'token', names(config), token.issuer),
    ]
  }
  if (found === undefined) {
    return config.required
      ? [denied(TOKEN_MISSING, 'token', `a token in the ${where}`, 'none')]
      : [allowed('required', 'false', 'no token')]
  }

  const jws = new JwsReader({
    maxBytes: Math.max(...config.issuers.map(({ maxTokenBytes }) => maxTokenBytes)),
    maxDepth: Math.max(...config.issuers.map(({ maxDepth }) => maxDepth)),
    algorithms: new Set(config.issuers.flatMap(({ algorithms }) => algorithms)),
  }).read(found.text)
  if (jws.kind === 'not-a-jws')
    return [denied(TOKEN_INVALID, 'token', 'a JWT that this issuer set may have signed', jws.reason)]
  const lines = config.issuers.map((issuer) => explainIssuer(issuer, jws.claims, jws))
  return [
    ...lines,
    denied(TOKEN_INVALID, 'signature', `by a key of ${names(config)}`, 'a token that was not verified here'),
  ]
}

/** `matched`: nothing that is there speaks against this issuer. */
function explainIssuer(
  issuer: IssuerConfig,
  claims: Readonly<Record<string, unknown>>,
  jws: CompactJws | undefined,
): Consideration {
  const has = (name: string): boolean => jws !== undefined || Object.hasOwn(claims, name)
  if (has('iss') && claims['iss'] !== issuer.issuer) return notOf(issuer, 'iss', issuer.issuer, shown(claims['iss']))
  if (has('aud') && !isMeantFor(claims['aud'], issuer.audiences)) {
    return notOf(issuer, 'aud', issuer.audiences.join(' or '), shown(claims['aud']))
  }
  if (jws !== undefined) {
    if (!(issuer.algorithms as readonly string[]).includes(jws.algorithm)) {
      return notOf(issuer, 'alg', issuer.algorithms.join(', '), jws.algorithm)
    }
    const type = jws.typ === undefined ? '' : normaliseType(jws.typ)
    if (!issuer.types.includes(type)) return notOf(issuer, 'typ', issuer.types.join(', '), type || 'none')
    if (typeof claims['exp'] !== 'number') return notOf(issuer, 'exp', 'a date', shown(claims['exp']))
  }
  const { exp, iat } = claims
  if (issuer.maxLifetimeMs !== undefined && typeof exp === 'number' && typeof iat === 'number') {
    const seconds = issuer.maxLifetimeMs / 1_000
    if (exp - iat > seconds) return notOf(issuer, 'exp', `${seconds} s after iat at most`, `${exp - iat} s`)
  }
  return { filter: 'jwt', rule: issuer.name, outcome: 'matched' }
}

function notOf({ name }: IssuerConfig, field: string, expected: string, got: string): Consideration {
  return { filter: 'jwt', rule: name, outcome: 'not-matched', field, expected, got }
}

/** Characters of a claim that are shown at most. */
const MAX_SHOWN = 200

function shown(claim: unknown): string {
  const text = claim === undefined ? 'none' : typeof claim === 'string' ? claim : JSON.stringify(claim)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

function names({ issuers }: JwtConfig): string {
  return issuers.map(({ name }) => name).join(' or ')
}

function at({ method, path }: RequestView): string {
  return `${method} ${path}`
}
