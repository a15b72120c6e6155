import type { Denial, Deny } from '../../model/verdict.ts'
import type { Step } from '../compile/pipeline.ts'
import type { Refusal } from './observation.ts'

const NONE: readonly string[] = Object.freeze([])

/** What the proxy itself said, by no policy. */
export function plainRefusal(denial: Denial, detail?: string): Refusal {
  return { denial: denial.name, filter: undefined, rule: undefined, origins: NONE, detail }
}

/** What a policy said, and which one. */
export function refusalBy(verdict: Deny, step: Step | undefined): Refusal {
  return {
    denial: verdict.denial.name,
    filter: step?.filter.name,
    rule: verdict.rule,
    origins: verdict.origin === undefined ? (step?.origins ?? NONE) : [verdict.origin],
    detail: verdict.detail,
  }
}
