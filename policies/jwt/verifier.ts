import type { FilterDeps, PublicKey } from '../../model/filter.ts'
import type { Peer, RequestView, VerifiedToken } from '../../model/request.ts'
import { BadTokenBudget, sourceOf } from './bad-token-budget.ts'
import { checkClaims, type Validity } from './claims.ts'
import { type CompactJws, JwsReader, type ShellLimits } from './compact-jws.ts'
import type { IssuerConfig } from './config.ts'
import { KEYS_UNAVAILABLE, TOKEN_INVALID, TOO_MANY_BAD_TOKENS } from './denials.ts'
import { KeyRing } from './key-ring.ts'
import { KnownSignatures, SIGNATURE_BYTES } from './known-signatures.ts'
import { type Refusal, refuse } from './refusal.ts'
import { type Bounds, TwoGenerations } from './two-generations.ts'

/** Refused tokens that are remembered, and for how long: long enough for a client that repeats itself. */
export const MAX_REFUSED_TOKENS = 1_000
const REFUSED_FOR_MS = 10_000

/** Names of keys that an issuer turned out not to have, and for how long it is not asked again because of them. */
export const MAX_UNKNOWN_KIDS = 1_000
const UNKNOWN_FOR_MS = 5_000

/** Requests that wait for an issuer's newer keys at once; more are answered 503. */
export const MAX_WAITING = 4_096

/** What an entry takes besides its claims, and what a byte of claims takes once it is objects and strings. */
const ENTRY_BYTES = 512
const BYTES_PER_CLAIMS_CHARACTER = 3

/** Of an issuer's entries, the share that has its claims kept too; of its bytes, the share that the others may take. */
const WHOLE_SHARE = 1 / 8
const SIGNATURES_SHARE = 1 / 2

/** A token that was verified, with what it takes to count on that again. */
export interface KnownToken {
  readonly kind: 'verified'
  readonly token: VerifiedToken
  readonly judge: Judge
  /** Of the issuer's key ring. */
  readonly generation: number
  readonly validity: Validity
  /** By the monotonic clock. */
  readonly knownUntilMs: number
  /** Of the JWS header. */
  readonly kid: string | undefined
  /** Of the revocations that it was found not to be among. */
  clearedBy: number
}

/** Verifies tokens of a fixed set of issuers. */
export interface Verifier {
  /** Synchronous for a token that is known, and for every algorithm that is verified on the loop. */
  verify(text: string, request: RequestView): KnownToken | Refusal | Promise<KnownToken | Refusal>
}

/**
 * Verifies a token once and then remembers that: verifying costs 25 to 135 us, remembering 2, and the token that a
 * connection sent last is recognised in less than one. Of many more tokens nothing is kept but that their signatures are
 * good: they are read and judged anew, in 8 us, and those that come often enough to be worth it are then kept whole.
 *
 * What is remembered is the hash of a token, never the token (but for the last one of a connection, which is in its
 * buffers anyway), for one issuer as it is configured and its keys as they are: either changes, and it is forgotten. Time is
 * checked on every hit. Refusals are remembered apart, few and for seconds.
 */
export function createVerifier(issuers: readonly IssuerConfig[], deps: FilterDeps): Verifier {
  const { clock, crypto, keys, count } = deps
  const judges = issuers.map(
    (issuer) => new Judge(issuer, deps.remember(`issuer ${JSON.stringify(issuer)}`, memoryOf(issuer))),
  )
  const refused = deps.remember(
    `refused ${JSON.stringify(issuers)}`,
    () => new TwoGenerations<RememberedRefusal>({ maxEntries: MAX_REFUSED_TOKENS }),
  )
  const budget = deps.remember('budget', () => new BadTokenBudget())
  const lastTokens = new WeakMap<Peer, { readonly text: string; readonly known: KnownToken }>()
  const limits: ShellLimits = {
    maxBytes: Math.max(...issuers.map(({ maxTokenBytes }) => maxTokenBytes)),
    maxDepth: Math.max(...issuers.map(({ maxDepth }) => maxDepth)),
    algorithms: new Set(issuers.flatMap(({ algorithms }) => algorithms)),
  }
  const reader = new JwsReader(limits)
  let waiting = 0

  const isCurrent = ({ judge, generation, validity, knownUntilMs }: KnownToken): boolean => {
    judge.ring.sync(keys)
    if (generation !== judge.ring.generation || clock.monotonic() >= knownUntilMs) return false
    const nowMs = clock.now()
    return nowMs < validity.expiresAtMs && nowMs >= validity.notBeforeMs - judge.issuer.clockSkewMs
  }

  /** What is remembered of a token; undefined when it has to be judged. */
  const recall = (hash: string): KnownToken | Refusal | undefined => {
    for (const { memory } of judges) {
      const known = memory.tokens.get(hash)
      if (known === undefined) continue
      if (isCurrent(known)) return known
      memory.tokens.delete(hash)
    }
    const before = refused.get(hash)
    if (before === undefined) return undefined
    if (clock.monotonic() < before.untilMs && before.ringGenerations === ringGenerations()) return before.refusal
    refused.delete(hash)
    return undefined
  }

  const ringGenerations = (): string => {
    for (const { ring } of judges) ring.sync(keys)
    return judges.map(({ ring }) => ring.generation).join(' ')
  }

  const judgeToken = (text: string, attempt: Attempt): KnownToken | Refusal | Promise<KnownToken | Refusal> => {
    const jws = reader.read(text)
    if (jws.kind === 'not-a-jws') return refuse(TOKEN_INVALID, jws.reason, 'never')
    const ofIssuer = judges.filter(({ issuer }) => issuer.issuer === jws.claims['iss'])
    if (ofIssuer.length === 0) return refuse(TOKEN_INVALID, 'iss is none of the issuers', 'never')
    return judgeByEach(ofIssuer, jws, attempt)
  }

  /** Several TokenIssuers may share an `iss`; the first that verifies the token has it, else the refusal that got furthest. */
  const judgeByEach = (
    candidates: readonly Judge[],
    jws: CompactJws,
    attempt: Attempt,
  ): KnownToken | Refusal | Promise<KnownToken | Refusal> => {
    const [judge, ...others] = candidates as [Judge, ...Judge[]]
    const settle = (outcome: KnownToken | Refusal): KnownToken | Refusal | Promise<KnownToken | Refusal> => {
      if (outcome.kind === 'verified' || others.length === 0) return outcome
      const next = judgeByEach(others, jws, attempt)
      return then(next, (later) => (later.kind === 'verified' || rankOf(later) > rankOf(outcome) ? later : outcome))
    }
    return then(judgeBy(judge, jws, attempt), settle)
  }

  const judgeBy = (
    judge: Judge,
    jws: CompactJws,
    attempt: Attempt,
  ): KnownToken | Refusal | Promise<KnownToken | Refusal> => {
    const { issuer, memory, ring } = judge
    const validity = checkClaims(jws, issuer, clock.now())
    if (validity.kind === 'refused') return validity
    ring.sync(keys)
    const found = ring.find(jws.algorithm, jws.kid, crypto)
    switch (found.kind) {
      case 'keys':
        return verifySignature(judge, jws, validity, found.keys, attempt)
      case 'wrong-algorithm':
        return refuse(TOKEN_INVALID, 'alg is not that of the key', 'other-keys', issuer.name)
      case 'none':
      case 'unknown':
        break
    }
    const name = `${jws.algorithm} ${jws.kid ?? ''}`
    const isKnownUnknown = found.kind === 'unknown' && memory.isUnknown(name, ring.generation, clock.monotonic())
    if (!attempt.refreshed.has(judge) && !isKnownUnknown) return afterRefresh(judge, jws, attempt)
    if (found.kind === 'none') {
      return refuse(KEYS_UNAVAILABLE, 'the keys of the issuer were never received', 'later', issuer.name)
    }
    if (!isKnownUnknown) {
      memory.unknownKids.set(name, { generation: ring.generation, untilMs: clock.monotonic() + UNKNOWN_FOR_MS })
      budget.charge(attempt.source, clock.monotonic())
    }
    return refuse(TOKEN_INVALID, 'kid is no key of the issuer', 'later', issuer.name)
  }

  const afterRefresh = async (judge: Judge, jws: CompactJws, attempt: Attempt): Promise<KnownToken | Refusal> => {
    if (!budget.hasLeft(attempt.source, clock.monotonic())) return overBudget(judge)
    if (waiting >= MAX_WAITING)
      return refuse(KEYS_UNAVAILABLE, 'too many requests wait for keys', 'later', judge.issuer.name)
    waiting++
    try {
      await keys.refresh(judge.issuer.name)
    } finally {
      waiting--
    }
    attempt.refreshed.add(judge)
    attempt.ringGenerations = ringGenerations()
    // Others that waited for the same keys may have had the same token.
    return recall(attempt.hash) ?? judgeBy(judge, jws, attempt)
  }

  const verifySignature = (
    judge: Judge,
    jws: CompactJws,
    validity: Validity,
    candidates: readonly PublicKey[],
    attempt: Attempt,
  ): KnownToken | Refusal | Promise<KnownToken | Refusal> => {
    const known = recallSignature(judge, jws, validity, attempt.hash)
    if (known !== undefined) return known
    if (!budget.hasLeft(attempt.source, clock.monotonic())) return overBudget(judge)
    const { generation } = judge.ring
    const tryKey = (i: number): KnownToken | Refusal | Promise<KnownToken | Refusal> => {
      const key = candidates[i]
      if (key === undefined) {
        budget.charge(attempt.source, clock.monotonic())
        return refuse(TOKEN_INVALID, 'the signature is not by a key of the issuer', 'other-keys', judge.issuer.name)
      }
      return then(crypto.verify(jws.algorithm, key, jws.signingInput, jws.signature), (isGood) =>
        isGood === true ? remember(judge, jws, validity, generation, attempt.hash) : tryKey(i + 1),
      )
    }
    return tryKey(0)
  }

  /** A token whose signature was verified before, by the keys that the issuer has now. */
  const recallSignature = (judge: Judge, jws: CompactJws, validity: Validity, hash: string): KnownToken | undefined => {
    const { issuer, memory, ring } = judge
    if (clock.now() >= validity.expiresAtMs) return undefined
    const before = memory.signatures.recall(hash, ring.generation, clock.monotonic())
    if (before === undefined) return undefined
    const known = knownToken(judge, jws, validity, ring.generation, before.untilMs)
    count('tokens_cached', issuer.name)
    const bytes = ENTRY_BYTES + BYTES_PER_CLAIMS_CHARACTER * jws.length
    // One that takes longer to come again than it would be kept is not worth what keeping it costs.
    if (before.distance < memory.wholeTokens(bytes)) memory.tokens.set(hash, known, bytes)
    return known
  }

  const remember = (
    judge: Judge,
    jws: CompactJws,
    validity: Validity,
    generation: number,
    hash: string,
  ): KnownToken => {
    const { issuer, memory } = judge
    const untilMs = clock.monotonic() + (issuer.cache.maxEntries === 0 ? 0 : issuer.cache.maxAgeMs)
    count('tokens_verified', issuer.name)
    // In its last moments, which clock skew grants, a token is verified each time.
    if (clock.now() < validity.expiresAtMs) memory.signatures.add(hash, generation, untilMs)
    return knownToken(judge, jws, validity, generation, untilMs)
  }

  const conclude = (
    outcome: KnownToken | Refusal,
    text: string,
    attempt: Attempt,
    peer: Peer,
  ): KnownToken | Refusal => {
    if (outcome.kind === 'verified') {
      lastTokens.set(peer, { text, known: outcome })
      return outcome
    }
    count('tokens_rejected', outcome.issuer)
    if (outcome.until !== 'later') {
      const { hash, ringGenerations } = attempt
      refused.set(hash, { refusal: outcome, untilMs: clock.monotonic() + REFUSED_FOR_MS, ringGenerations })
    }
    return outcome
  }

  return {
    verify(text, request) {
      const last = lastTokens.get(request.peer)
      if (last !== undefined && last.text === text && isCurrent(last.known)) {
        count('tokens_cached', last.known.judge.issuer.name)
        return last.known
      }
      if (text.length > limits.maxBytes) {
        count('tokens_rejected')
        return refuse(TOKEN_INVALID, `longer than ${limits.maxBytes} bytes`, 'never')
      }
      const hash = crypto.sha256(text)
      const recalled = recall(hash)
      if (recalled !== undefined) {
        if (recalled.kind === 'refused') count('tokens_rejected', recalled.issuer)
        else {
          count('tokens_cached', recalled.judge.issuer.name)
          lastTokens.set(request.peer, { text, known: recalled })
        }
        return recalled
      }
      const attempt: Attempt = {
        hash,
        source: sourceOf(request),
        refreshed: new Set(),
        ringGenerations: ringGenerations(),
      }
      return then(judgeToken(text, attempt), (outcome) => conclude(outcome, text, attempt, request.peer))
    },
  }
}

/** One request's way through the issuers that its token may be of. */
interface Attempt {
  readonly hash: string
  readonly source: string
  /** Issuers that were asked for newer keys already. */
  readonly refreshed: Set<Judge>
  /** Of the keys that it began with, or that it waited for. */
  ringGenerations: string
}

interface RememberedRefusal {
  readonly refusal: Refusal
  readonly untilMs: number
  readonly ringGenerations: string
}

/** One issuer, with what outlives a push of policies. */
class Judge {
  readonly issuer: IssuerConfig
  readonly memory: IssuerMemory

  constructor(issuer: IssuerConfig, memory: IssuerMemory) {
    this.issuer = issuer
    this.memory = memory
  }

  get ring(): KeyRing {
    return this.memory.ring
  }
}

/** Tokens of one issuer, in two tiers: no token is counted by its bounds that is not in one of them. */
class IssuerMemory {
  readonly ring: KeyRing
  /** Whole, with their claims. */
  readonly tokens: TwoGenerations<KnownToken>
  /** Of which only that is known. */
  readonly signatures: KnownSignatures
  readonly #maxWhole: Required<Bounds>
  readonly unknownKids = new TwoGenerations<{ readonly generation: number; readonly untilMs: number }>({
    maxEntries: MAX_UNKNOWN_KIDS,
  })

  constructor({ name, algorithms, cache: { maxEntries, maxBytes, maxAgeMs } }: IssuerConfig) {
    const whole = Math.floor(maxEntries * WHOLE_SHARE)
    const signatures = Math.min(maxEntries - whole, Math.floor((maxBytes * SIGNATURES_SHARE) / SIGNATURE_BYTES))
    this.ring = new KeyRing(name, algorithms)
    this.signatures = new KnownSignatures(maxAgeMs === 0 ? 0 : signatures)
    this.#maxWhole = { maxEntries: whole, maxBytes: maxBytes - signatures * SIGNATURE_BYTES }
    this.tokens = new TwoGenerations(this.#maxWhole)
  }

  /** Tokens of that size that are kept for certain, whatever comes after them: the young half. */
  wholeTokens(bytes: number): number {
    const { maxEntries, maxBytes } = this.#maxWhole
    return Math.min(maxEntries, maxBytes / bytes) / 2
  }

  isUnknown(name: string, generation: number, nowMs: number): boolean {
    const before = this.unknownKids.get(name)
    return before !== undefined && before.generation === generation && nowMs < before.untilMs
  }
}

function knownToken(
  judge: Judge,
  { claims, kid }: CompactJws,
  validity: Validity,
  generation: number,
  knownUntilMs: number,
): KnownToken {
  const { name, issuer } = judge.issuer
  const token: VerifiedToken = Object.freeze({
    issuer: name,
    iss: issuer,
    ...(typeof claims['sub'] === 'string' && { subject: claims['sub'] }),
    claims,
    expiresAt: validity.expiresAtMs / 1_000,
  })
  return { kind: 'verified', token, judge, generation, validity, knownUntilMs, kid, clearedBy: -1 }
}

function memoryOf(issuer: IssuerConfig): () => IssuerMemory {
  return () => new IssuerMemory(issuer)
}

/** How far a token got: a refusal that time or keys would change says more than one that nothing can. */
function rankOf(outcome: KnownToken | Refusal): number {
  if (outcome.kind === 'verified') return 4
  if (outcome.denial === KEYS_UNAVAILABLE) return 3
  return outcome.until === 'later' ? 2 : outcome.until === 'other-keys' ? 1 : 0
}

function overBudget({ issuer }: Judge): Refusal {
  return refuse(TOO_MANY_BAD_TOKENS, 'the bad-token budget of this source is spent', 'later', issuer.name)
}

/** Goes on at once with what is there, and later with what is promised: most requests never wait a turn. */
function then<From, To>(value: From | Promise<From>, next: (value: From) => To | Promise<To>): To | Promise<To> {
  return value instanceof Promise ? value.then(next) : next(value)
}
