import { type Check, defineFilter } from '../../model/filter.ts'
import { fail, ok } from '../../model/result.ts'
import { CONTINUE, type Deny, type HeaderPair } from '../../model/verdict.ts'
import { compileExemptions } from '../exemptions/compile.ts'
import { readWire } from '../read-wire.ts'
import { compileClaimHeaders } from './claim-headers.ts'
import { JwtConfig } from './config.ts'
import { JWT_DENIALS, KEYS_UNAVAILABLE, TOKEN_MISSING, TOO_MANY_BAD_TOKENS, TWO_TOKENS } from './denials.ts'
import { isInternal, isOfUserOf } from './exchanged.ts'
import { explainJwt } from './explain.ts'
import type { Refusal } from './refusal.ts'
import { askRevocations } from './revoked.ts'
import { dropLogin, findToken, SEVERAL, type TokenPlace, tokenPlaceOf } from './token-location.ts'
import { createVerifier, type KnownToken } from './verifier.ts'

/**
 * Asks who the user is: verifies the token of a request (RFC 7519, 8725, 9068), tells the checks after it what is in it,
 * and the application only what policy says.
 */
export const jwt = defineFilter<JwtConfig>({
  name: 'jwt',
  denials: JWT_DENIALS,
  repeatable: true,
  tcp: false,
  verifiesToken: true,
  since: (config) => (config?.forward === 'exchange' ? 3 : 1),
  decode: (wire) => readWire(JwtConfig, wire),
  compile(config, deps) {
    const exemptions = compileExemptions(config.exempt, config.exemptWithin)
    const claimHeaders = compileClaimHeaders(config.claimHeaders)
    if (!exemptions.ok || !claimHeaders.ok) {
      return fail(...(exemptions.ok ? [] : exemptions.issues), ...(claimHeaders.ok ? [] : claimHeaders.issues))
    }
    const places = config.locations.map(tokenPlaceOf)
    const verifier = createVerifier(config.issuers, deps)
    const deny = refusalsFor(config)
    const revokedBy = askRevocations(deps)

    const check: Check = (request, facts) => {
      const pass = (known: KnownToken | undefined, place: TokenPlace | undefined) => {
        if (known !== undefined) facts.token = known.token
        // An internal token tells the application of users of these issuers, and of nobody else.
        const isOfOurs = known !== undefined || (facts.exempt !== true && isOfUserOf(facts.token, config))
        claimHeaders.value.apply(facts, isOfOurs ? facts.token : undefined)
        if (config.forward !== 'keep') place?.strip(request, facts)
        return CONTINUE
      }
      if (exemptions.value.admits(request)) {
        facts.exempt = true
        // What nobody verified is not passed on as if somebody had.
        if (config.forward !== 'keep') {
          dropLogin(facts)
          for (const place of places) place.strip(request, facts)
        }
        return pass(undefined, undefined)
      }
      const found = findToken(places, request, facts)
      if (found === undefined) {
        return config.required && !isOfUserOf(facts.token, config) ? deny.missing : pass(undefined, undefined)
      }
      if (found === SEVERAL || isInternal(facts.token)) return deny.several
      const conclude = (outcome: KnownToken | Refusal) => {
        if (outcome.kind === 'refused') return deny.refused(outcome)
        const revoked = revokedBy(outcome)
        if (revoked !== undefined) return deny.refused(revoked)
        if (config.forward === 'exchange') facts.subject = { issuer: outcome.token.issuer, text: found.text }
        return pass(outcome, found.place)
      }
      const outcome = verifier.verify(found.text, request)
      return outcome instanceof Promise ? outcome.then(conclude) : conclude(outcome)
    }
    return ok(check)
  },
  explain: explainJwt,
})

/** Seconds after which a client may try again. */
const RETRY_AFTER_KEYS = '5'
const RETRY_AFTER_BAD_TOKENS = '1'

/**
 * Refusals with the challenge that RFC 6750, 3 asks for: an `error` only where the request had a token, and no word of what
 * exactly is wrong with it.
 */
function refusalsFor({ locations }: JwtConfig) {
  const scheme = locations.find((location) => location.kind === 'header' && location.scheme !== undefined)
  const name = scheme?.kind === 'header' && scheme.scheme !== undefined ? capitalised(scheme.scheme) : 'Bearer'
  const challenge = (error: string): readonly HeaderPair[] => [
    ['www-authenticate', error === '' ? name : `${name} ${error}`],
  ]
  const missing: Deny = { kind: 'deny', denial: TOKEN_MISSING, headers: challenge('') }
  const several: Deny = { kind: 'deny', denial: TWO_TOKENS, headers: challenge('error="invalid_request"') }
  const invalid = challenge('error="invalid_token"')
  const keysUnavailable: readonly HeaderPair[] = [['retry-after', RETRY_AFTER_KEYS]]
  const tooManyBadTokens: readonly HeaderPair[] = [['retry-after', RETRY_AFTER_BAD_TOKENS]]

  return {
    missing,
    several,
    refused({ denial, detail, issuer }: Refusal): Deny {
      const headers =
        denial === KEYS_UNAVAILABLE ? keysUnavailable : denial === TOO_MANY_BAD_TOKENS ? tooManyBadTokens : invalid
      return { kind: 'deny', denial, detail, headers, ...(issuer !== undefined && { rule: issuer }) }
    },
  }
}

function capitalised(scheme: string): string {
  return scheme.charAt(0).toUpperCase() + scheme.slice(1)
}
