import { type Check, defineFilter } from '../../model/filter.ts'
import { INTERNAL_TOKEN_HEADER, INTERNAL_TOKENS, type LiveCaller } from '../../model/internal-tokens.ts'
import type { RequestView, VerifiedToken } from '../../model/request.ts'
import { ok } from '../../model/result.ts'
import { CONTINUE, type Denial, type Deny, type HeaderPair, type Verdict } from '../../model/verdict.ts'
import { KEYS_UNAVAILABLE, TOKEN_EXPIRED } from '../jwt/denials.ts'
import type { Refusal } from '../jwt/refusal.ts'
import { createVerifier, type KnownToken } from '../jwt/verifier.ts'
import { readWire } from '../read-wire.ts'
import { InternalTokenConfig } from './config.ts'
import {
  INTERNAL_TOKEN_DENIALS,
  INTERNAL_TOKEN_EXPIRED,
  INTERNAL_TOKEN_INVALID,
  INTERNAL_TOKEN_MISSING,
  INTERNAL_TOKEN_UNVERIFIABLE,
  TOO_MANY_LIVE_REQUESTS,
  TWO_INTERNAL_TOKENS,
} from './denials.ts'
import { explainInternalToken } from './explain.ts'
import { scopeWords } from './issuer.ts'
import { shortfallOf } from './shortfall.ts'

/**
 * Asks for whom a call inside the mesh is made: verifies its transaction token (draft-ietf-oauth-transaction-tokens-08, 5.2), by
 * keys that were pushed, and holds it to who has sent it. What is in it the checks after this one see as `facts.token`.
 */
export const internalToken = defineFilter<InternalTokenConfig>({
  name: 'internal-token',
  denials: INTERNAL_TOKEN_DENIALS,
  repeatable: true,
  tcp: false,
  verifiesToken: true,
  readsTrace: true,
  since: () => 3,
  decode: (wire) => readWire(InternalTokenConfig, wire),
  compile(config, deps) {
    const verifier = createVerifier(config.issuers, deps)
    const { liveRequests } = deps
    const callers = new WeakMap<VerifiedToken, LiveCaller>()
    const callerBy = (token: VerifiedToken, text: string): LiveCaller => {
      const caller = callers.get(token) ?? callerOf(token, text)
      callers.set(token, caller)
      return caller
    }
    /** What the workload calls until the request is over, it calls for this caller. */
    const letIn = (request: RequestView, caller: LiveCaller): Verdict => {
      const { traceId } = request
      if (liveRequests === undefined || traceId === undefined || request.onEnd === undefined) return CONTINUE
      const leave = liveRequests.enter(traceId, caller)
      if (leave === undefined) return TOO_MANY
      request.onEnd(leave)
      return CONTINUE
    }
    const check: Check = (request, facts) => {
      const sent = request.headers(INTERNAL_TOKEN_HEADER)
      const [text] = sent
      if (text === undefined) return config.required ? MISSING : letIn(request, NOBODY)
      if (sent.length > 1) return TWO
      if (config.forward === 'strip') {
        facts.removeRequestHeaders ??= []
        facts.removeRequestHeaders.push(INTERNAL_TOKEN_HEADER)
      }
      const conclude = (outcome: KnownToken | Refusal) => {
        if (outcome.kind === 'refused') return refusedBy(outcome)
        facts.token = outcome.token
        const shortfall = shortfallOf(config, outcome.token.claims, request.peer)
        return shortfall === undefined
          ? letIn(request, callerBy(outcome.token, text))
          : denied(shortfall.denial, `${shortfall.field} is ${shortfall.got}`)
      }
      const outcome = verifier.verify(text, request)
      return outcome instanceof Promise ? outcome.then(conclude) : conclude(outcome)
    }
    return ok(check)
  },
  explain: explainInternalToken,
})

/** A 401 says how to authenticate (RFC 9110, 11.6.1). */
const CHALLENGE: readonly HeaderPair[] = [['www-authenticate', 'Txn-Token']]

/** Seconds after which a client may try again. */
const RETRY_AFTER: readonly HeaderPair[] = [['retry-after', '5']]

const MISSING: Deny = { kind: 'deny', denial: INTERNAL_TOKEN_MISSING, headers: CHALLENGE }
const TOO_MANY: Deny = { kind: 'deny', denial: TOO_MANY_LIVE_REQUESTS, headers: [['retry-after', '1']] }
const TWO: Deny = { kind: 'deny', denial: TWO_INTERNAL_TOKENS }

function refusedBy({ denial, detail }: Refusal): Deny {
  if (denial === KEYS_UNAVAILABLE) return { ...denied(INTERNAL_TOKEN_UNVERIFIABLE, detail), headers: RETRY_AFTER }
  const own = denial === TOKEN_EXPIRED ? INTERNAL_TOKEN_EXPIRED : INTERNAL_TOKEN_INVALID
  return { ...denied(own, detail), headers: CHALLENGE }
}

function denied(denial: Denial, detail: string): Deny {
  return { kind: 'deny', denial, detail }
}

/** Who comes without a token is somebody too: not the one whose token another request of the trace has. */
const NOBODY: LiveCaller = Object.freeze({ identity: '', scope: [], expiresAt: 0 })

function callerOf({ claims, expiresAt }: VerifiedToken, text: string): LiveCaller {
  return {
    subject: { issuer: INTERNAL_TOKENS, text },
    identity: JSON.stringify([claims['sub'], claims['tctx'], claims['rctx']]),
    scope: scopeWords(claims['scope']),
    expiresAt,
  }
}
