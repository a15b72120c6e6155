import type { Paint } from '../../paint.ts'
import { printable, printableLines } from '../../printable.ts'
import { counted, type Problem } from './check.ts'
import type { CheckReport, Outcome, ReportedCheck } from './report.ts'

/** Problems of one check that are printed; -o json has them all. */
const MAX_PRINTED = 20

/** A report as people read it: a section each, a line a check, and below what is wrong its cause and what would be right. */
export function formatReport(report: CheckReport, paint: Paint): string {
  const sections = report.sections.map(
    ({ title, checks }) => `${paint('bold', title)}\n${checks.map((check) => formatCheck(check, paint)).join('')}`,
  )
  return `${sections.join('\n')}\n${summaryOf(report, paint)}`
}

const MARKS: Readonly<Record<Outcome, readonly [mark: string, style: 'green' | 'yellow' | 'red' | 'dim']>> = {
  ok: ['✓', 'green'],
  warning: ['!', 'yellow'],
  error: ['✗', 'red'],
  skipped: ['-', 'dim'],
}

function formatCheck({ title, outcome, detail, problems, docs }: ReportedCheck, paint: Paint): string {
  const [mark, style] = MARKS[outcome]
  const more = detail === undefined ? '' : ` ${paint('dim', `(${printable(detail)})`)}`
  const told = outcome === 'skipped' ? paint('dim', title) : title
  const printed = problems.slice(0, MAX_PRINTED).map((problem) => formatProblem(problem, paint))
  const left = problems.length - printed.length
  const rest = left > 0 ? `    and ${left} more: -o json has them all\n` : ''
  const see = outcome === 'error' || outcome === 'warning' ? `    ${paint('dim', `see ${docs}`)}\n` : ''
  return `  ${paint(style, mark)} ${told}${more}\n${printed.join('')}${rest}${see}`
}

const STYLES = { error: 'red', warning: 'yellow', info: 'dim' } as const

function formatProblem({ severity, resource, message, fix, paste }: Problem, paint: Paint): string {
  const subject = resource === undefined ? '' : `${paint('bold', printable(resource))} `
  const lines = [
    `    ${paint(STYLES[severity], severity)}  ${subject}${printable(message)}`,
    ...(fix === undefined ? [] : [`${' '.repeat(4 + severity.length + 2)}${paint('dim', `fix: ${printable(fix)}`)}`]),
    // As it is, from the first column on: it is there to be pasted.
    ...(paste === undefined ? [] : ['', printableLines(paste.trimEnd()), '']),
  ]
  return `${lines.join('\n')}\n`
}

function summaryOf({ summary }: CheckReport, paint: Paint): string {
  const { checks, errors, warnings, infos, skipped } = summary
  const mark = errors > 0 ? paint('red', '✗') : warnings > 0 ? paint('yellow', '!') : paint('green', '✓')
  const found = [
    ...(errors > 0 ? [counted(errors, 'error')] : []),
    ...(warnings > 0 ? [counted(warnings, 'warning')] : []),
    ...(infos > 0 ? [`${infos} info`] : []),
  ]
  const looked = [counted(checks, 'check'), ...(skipped > 0 ? [`${skipped} skipped`] : [])]
  const said = found.length === 0 ? 'nothing to complain about' : found.join(', ')
  return `${mark} ${said} ${paint('dim', `(${looked.join(', ')})`)}\n`
}
