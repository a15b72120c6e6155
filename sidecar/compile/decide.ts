import type { Facts, RequestView } from '../../model/request.ts'
import type { Denial, Deny, Verdict } from '../../model/verdict.ts'
import { CONTINUE } from '../../model/verdict.ts'
import type { Chain, Step } from './pipeline.ts'

/** A check failed by itself. It has not said yes, so the answer is no. */
export const POLICY_ERROR: Denial = {
  name: 'policy-error',
  status: 500,
  title: 'A security policy of this service failed.',
}

/** A verdict and whose it was. */
export interface Decision {
  readonly verdict: Verdict
  /** The step that refused or answered; absent when every check said `continue`. */
  readonly step?: Step
  /**
   * The first refusal that dry runs would have made of a request that was let through: a part of an enforced policy, or
   * else the dry-run policies.
   */
  readonly wouldDeny?: { readonly verdict: Deny; readonly step: Step }
}

const ALLOWED: Decision = Object.freeze({ verdict: CONTINUE })

/**
 * Asks each check in order; the first that does not say `continue` decides. Synchronous until a check is not.
 *
 * A dry run never changes the answer: it runs after the enforced checks let the request through, on facts of its own.
 */
export function decide(chain: Chain, request: RequestView, facts: Facts): Decision | Promise<Decision> {
  const decided = run(chain.enforced, 0, request, facts)
  return isPromise(decided)
    ? decided.then((decision) => withDryRun(decision, chain, request, facts))
    : withDryRun(decided, chain, request, facts)
}

function withDryRun(
  decision: Decision,
  { enforced, shadow }: Chain,
  request: RequestView,
  facts: Facts,
): Decision | Promise<Decision> {
  if (decision.verdict.kind !== 'continue') return decision
  if (facts.wouldDeny !== undefined) return asWouldDeny(facts.wouldDeny, enforced)
  if (shadow === undefined) return decision
  // Who has a session is known by now, and nobody finds out twice.
  const { loginToken } = facts
  const shadowFacts: Facts = loginToken === undefined ? {} : { loginToken }
  const decided = run(shadow, 0, request, shadowFacts)
  return isPromise(decided)
    ? decided.then((settled) => shadowDecision(settled, shadow, shadowFacts))
    : shadowDecision(decided, shadow, shadowFacts)
}

function shadowDecision({ verdict, step }: Decision, shadow: readonly Step[], facts: Facts): Decision {
  if (verdict.kind === 'deny' && step !== undefined) return { verdict: CONTINUE, wouldDeny: { verdict, step } }
  return verdict.kind === 'continue' && facts.wouldDeny !== undefined ? asWouldDeny(facts.wouldDeny, shadow) : ALLOWED
}

/** The refusal of the step whose filter has that denial. */
function asWouldDeny(verdict: Deny, steps: readonly Step[]): Decision {
  const step = steps.find(({ filter }) => filter.denials.includes(verdict.denial))
  return step === undefined ? ALLOWED : { verdict: CONTINUE, wouldDeny: { verdict, step } }
}

function run(steps: readonly Step[], from: number, request: RequestView, facts: Facts): Decision | Promise<Decision> {
  for (let i = from; i < steps.length; i++) {
    const step = steps[i] as Step
    let verdict: Verdict | Promise<Verdict>
    try {
      verdict = step.check(request, facts)
    } catch (error) {
      return failed(step, error)
    }
    if (isPromise(verdict)) {
      return verdict.then(
        (settled) => (settled.kind === 'continue' ? run(steps, i + 1, request, facts) : { verdict: settled, step }),
        (error) => failed(step, error),
      )
    }
    if (verdict.kind !== 'continue') return { verdict, step }
  }
  return ALLOWED
}

function failed(step: Step, error: unknown): Decision {
  return {
    verdict: { kind: 'deny', denial: POLICY_ERROR, detail: error instanceof Error ? error.message : String(error) },
    step,
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown }).then === 'function'
}
