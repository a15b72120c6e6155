import { columnsOf } from '../output/columns.ts'
import type { Paint, Style } from '../paint.ts'
import { printableIn } from '../printable.ts'
import type { Finding } from './finding.ts'

const STYLES: Readonly<Record<Finding['severity'], Style>> = { error: 'red', warning: 'yellow', info: 'dim' }

/**
 * Findings as a compiler prints them: file, then a line each with its place, and below it what would be right. What has no
 * place in a file comes last.
 */
export function formatFindings(findings: readonly Finding[], paint: Paint): string {
  const groups = Map.groupBy(printableIn(findings), ({ location }) => location?.file ?? '')
  return [...groups]
    .map(([file, group]) => {
      const heading = file === '' ? '' : `${paint('underline', file)}\n`
      return heading + columnsOf(group.map((found) => cellsOf(found, paint)))
    })
    .join('\n')
}

function cellsOf({ location, severity, id, resource = '', path, message, fix }: Finding, paint: Paint) {
  const place = location === undefined ? '' : `${location.line}:${location.column}`
  const said = path === '' ? message : `${paint('bold', path)}: ${message}`
  return {
    cells: [`  ${place}`, paint(STYLES[severity], severity), paint('dim', id), resource, said],
    below: fix === undefined ? [] : [paint('dim', `fix: ${fix}`)],
  }
}

/** `2 errors, 1 warning`; a number that is 0 is left out. */
export function countFindings(findings: readonly Finding[]): Readonly<Record<Finding['severity'], number>> {
  const count = (severity: Finding['severity']) => findings.filter((found) => found.severity === severity).length
  return { error: count('error'), warning: count('warning'), info: count('info') }
}

/** `1 file`, `2 files`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}
