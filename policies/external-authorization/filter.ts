import { type Check, defineFilter, type FilterDeps } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { fail, ok } from '../../model/result.ts'
import { CONTINUE, type Verdict } from '../../model/verdict.ts'
import { compileExemptions } from '../exemptions/compile.ts'
import { readWire } from '../read-wire.ts'
import { type Ask, askAlone, type OnAbandoned, SharedAnswers } from '../shared-answers.ts'
import { type Answer, isOutage } from './answer.ts'
import { answerKeyOf } from './answer-key.ts'
import { applyAnswer } from './apply-answer.ts'
import { askHttp } from './ask-http.ts'
import { type AuthorizerConfig, ExternalAuthorizationConfig } from './config.ts'
import {
  EXTERNAL_AUTHORIZATION_DENIALS,
  EXTERNAL_AUTHORIZATION_DENIED,
  EXTERNAL_AUTHORIZATION_UNAVAILABLE,
} from './denials.ts'
import { explainExternalAuthorization } from './explain.ts'
import { type ToldRequest, tell } from './told-request.ts'

const FILTER = 'external-authorization'

/** Milliseconds that a denial is remembered at most: whoever has just been let in should not be kept out for long. */
export const MAX_DENIAL_MS = 5_000

/** Has services decide that are no part of the mesh's own rules; a request passes where each of them allows it. */
export const externalAuthorization = defineFilter<ExternalAuthorizationConfig>({
  name: FILTER,
  denials: EXTERNAL_AUTHORIZATION_DENIALS,
  // A service that is asked twice about one request may count it twice.
  repeatable: false,
  tcp: false,
  since: () => 3,
  asksServices: true,
  decode: (wire) => readWire(ExternalAuthorizationConfig, wire),
  compile(config, deps) {
    const exemptions = compileExemptions(config.exempt, config.exemptWithin)
    if (!exemptions.ok) return fail(...exemptions.issues)
    const authorizers = config.authorizers.map((authorizer) => createAuthorizer(authorizer, config.workload, deps))
    const check: Check = (request, facts) => {
      if (exemptions.value.admits(request)) {
        facts.exempt = true
        return CONTINUE
      }
      return askAll(authorizers, request, facts)
    }
    return ok(check)
  },
  explain: explainExternalAuthorization,
})

/** Asks about one request; synchronous where the answer is remembered. */
type Authorizer = (request: RequestView, facts: Facts) => Verdict | Promise<Verdict>

function askAll(
  [first, ...rest]: readonly Authorizer[],
  request: RequestView,
  facts: Facts,
): Verdict | Promise<Verdict> {
  if (first === undefined) return CONTINUE
  const said = first(request, facts)
  const next = (verdict: Verdict) => (verdict.kind === 'continue' ? askAll(rest, request, facts) : verdict)
  return said instanceof Promise ? said.then(next) : next(said)
}

function createAuthorizer(
  authorizer: AuthorizerConfig,
  workload: string,
  { calls, clock, crypto, count }: FilterDeps,
): Authorizer {
  const { upstream, requestHeaders, cache } = authorizer
  const answers = cache === undefined ? undefined : createAnswers(cache.ttlMs, clock.monotonic)
  const names = requestHeaders.toSorted()

  const askFor = (told: ToldRequest, port: number): Ask<Answer> => {
    return async (signal) => {
      if (calls === undefined) return { kind: 'none', reason: 'no-upstream', detail: 'nobody is asked here' }
      if (authorizer.protocol === 'http') return askHttp(authorizer, told, calls, signal)
      const { askGrpc } = await import('./ask-grpc.ts')
      const context = { workload, port, context: authorizer.context, timeMs: clock.now() }
      return askGrpc(authorizer, told, context, calls, signal)
    }
  }
  const conclude = (answer: Answer, request: RequestView, facts: Facts): Verdict => {
    facts.externalAnswers ??= []
    const told = (outcome: 'allowed' | 'denied' | 'failed-open' | 'unavailable', detail: string) =>
      facts.externalAnswers?.push({ filter: FILTER, upstream, outcome, detail })
    switch (answer.kind) {
      case 'allowed':
        told('allowed', '')
        applyAnswer(answer, request, facts)
        return CONTINUE
      case 'denied': {
        const { status, headers, body } = answer
        told('denied', `status ${status}`)
        return {
          kind: 'deny',
          denial: EXTERNAL_AUTHORIZATION_DENIED,
          detail: `${upstream} denied it with ${status}`,
          told: { status, headers, ...(body !== undefined && { body }) },
        }
      }
      case 'none': {
        const detail = `${upstream}: ${answer.reason}: ${answer.detail}`
        if (authorizer.failOpen && isOutage(answer)) {
          told('failed-open', detail)
          count('requests_failed_open')
          return CONTINUE
        }
        told('unavailable', detail)
        return { kind: 'deny', denial: EXTERNAL_AUTHORIZATION_UNAVAILABLE, detail, headers: RETRY_AFTER }
      }
    }
  }

  return (request, facts) => {
    const told = tell(request, facts, names)
    const onAbandoned: OnAbandoned | undefined =
      request.onAbandoned === undefined ? undefined : (listener) => request.onAbandoned?.(listener) ?? (() => {})
    const ask = askFor(told, request.port)
    if (answers === undefined || cache === undefined) {
      return askAlone(ask, onAbandoned).then((answer) => conclude(answer, request, facts))
    }
    const key = answerKeyOf(cache.key, told, request, facts, crypto)
    const known = answers.get(key)
    if (known !== undefined) return conclude(known, request, facts)
    return answers.ask(key, ask, onAbandoned).then((answer) => conclude(answer, request, facts))
  }
}

/** What is no answer is never remembered, and a denial for less than a yes. */
function createAnswers(ttlMs: number, now: () => number): SharedAnswers<Answer> {
  return new SharedAnswers<Answer>({
    now,
    overloaded: { kind: 'none', reason: 'overloaded', detail: 'too many questions are under way' },
    keepMs({ kind }) {
      switch (kind) {
        case 'allowed':
          return ttlMs
        case 'denied':
          return Math.min(ttlMs / 2, MAX_DENIAL_MS)
        case 'none':
          return 0
      }
    },
  })
}

const RETRY_AFTER = [['retry-after', '1']] as const
