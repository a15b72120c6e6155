import type { Facts, RequestView } from '../../model/request.ts'
import type { Continue, Denial, Deny, Verdict } from '../../model/verdict.ts'
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
  /** The first refusal that the dry-run policies would have made of a request that was let through. */
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
  const { shadow } = chain
  if (shadow === undefined) return decided
  return isPromise(decided)
    ? decided.then((decision) => withShadow(decision, shadow, request))
    : withShadow(decided, shadow, request)
}

function withShadow(decision: Decision, shadow: readonly Step[], request: RequestView): Decision | Promise<Decision> {
  if (decision.verdict.kind !== 'continue') return decision
  const decided = run(shadow, 0, request, {})
  return isPromise(decided) ? decided.then(asWouldDeny) : asWouldDeny(decided)
}

function asWouldDeny({ verdict, step }: Decision): Decision {
  if (verdict.kind !== 'deny' || step === undefined) return ALLOWED
  return { verdict: CONTINUE as Continue, wouldDeny: { verdict, step } }
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
