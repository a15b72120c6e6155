import type { ClusterFacts } from '../facts.ts'
import type { CheckSection, ClusterCheck, Judgement } from './check.ts'
import { docsOf } from './check.ts'
import { SECTIONS } from './checks.ts'

/** What all checks came to. Plain JSON: also what `-o json` prints. */
export interface CheckReport {
  readonly context: string
  readonly server: string
  readonly namespace?: string
  readonly sections: readonly ReportedSection[]
  readonly summary: {
    readonly checks: number
    readonly errors: number
    readonly warnings: number
    readonly infos: number
    readonly skipped: number
  }
}

export interface ReportedSection {
  readonly title: string
  readonly checks: readonly ReportedCheck[]
}

export type Outcome = 'ok' | 'warning' | 'error' | 'skipped'

export interface ReportedCheck extends Pick<ClusterCheck, 'id' | 'title'> {
  /** The worst that was found; `info` leaves it ok. */
  readonly outcome: Outcome
  readonly detail?: string
  readonly problems: Extract<Judgement, { kind: 'judged' }>['problems']
  /** Where it is explained. */
  readonly docs: string
}

/** Judges what was found out. */
export function reportOf(facts: ClusterFacts, sections: readonly CheckSection[] = SECTIONS): CheckReport {
  const reported = sections.map(({ title, checks }) => ({
    title,
    checks: checks.map((check) => reportedCheck(check, check.judge(facts))),
  }))
  const checks = reported.flatMap((section) => section.checks)
  const problems = checks.flatMap((check) => check.problems)
  const count = (wanted: string) => problems.filter(({ severity }) => severity === wanted).length
  const { context, server, scope } = facts
  return {
    ...{ context, server, ...(scope !== undefined && { namespace: scope }), sections: reported },
    summary: {
      checks: checks.length,
      errors: count('error'),
      warnings: count('warning'),
      infos: count('info'),
      skipped: checks.filter(({ outcome }) => outcome === 'skipped').length,
    },
  }
}

function reportedCheck(check: ClusterCheck, judgement: Judgement): ReportedCheck {
  const { id, title } = check
  const docs = docsOf(check)
  if (judgement.kind === 'skipped') return { id, title, outcome: 'skipped', detail: judgement.why, problems: [], docs }
  const { problems, detail } = judgement
  const has = (wanted: string) => problems.some(({ severity }) => severity === wanted)
  const outcome = has('error') ? 'error' : has('warning') ? 'warning' : 'ok'
  return { id, title, outcome, ...(detail !== undefined && detail !== '' && { detail }), problems, docs }
}
