import type { Paint, Style } from '../paint.ts'
import { printable } from '../printable.ts'
import type { Decision } from './decision.ts'

/** Widths of the columns that vary; what is longer pushes the rest of its line. */
const WHO = 46
const WHAT = 40

/** Gateways and the operator live here: their names say enough. */
const SYSTEM = 'hauberk-system/'

/**
 * One line for a person: time, caller and service, method and path, status, the rule or the denial's name, milliseconds.
 *
 * Everything in it that a client chose is printable afterwards: nobody writes to this terminal by way of a path.
 */
export function formatDecision(decision: Decision, paint: Paint): string {
  const columns = [
    paint('dim', timeOf(decision.timeMs)),
    pad(`${callerOf(decision)} → ${shorten(serviceOf(decision))}`, WHO),
    pad(whatOf(decision), WHAT),
    resultOf(decision, paint),
    paint('dim', `${decision.durationMs.toFixed(1)} ms`),
  ]
  const { wouldDeny, denial, id } = decision
  // What somebody may want explained has the id that `hauberk explain` takes.
  if (denial !== undefined || wouldDeny !== undefined) columns.push(paint('dim', printable(id)))
  if (wouldDeny !== undefined) {
    columns.push(paint('yellow', `(dry run: ${printable(wouldDeny.rule ?? wouldDeny.denial)} would refuse it)`))
  }
  return columns.join('  ')
}

function timeOf(timeMs: number): string {
  const time = new Date(timeMs)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, '0')}`
}

function callerOf({ direction, workload, caller, clientIp, subject }: Decision): string {
  const who = direction === 'outbound' ? workload : (caller ?? clientIp)
  return shorten(printable(who)) + (subject === undefined ? '' : ` (${printable(subject)})`)
}

/** Where it was going; a gateway or sidecar that could not say so is where it ended. */
function serviceOf({ direction, workload, upstream, host }: Decision): string {
  if (direction === 'inbound') return workload
  const target = upstream === '' || upstream === 'app' ? (direction === 'outbound' ? (host ?? '') : '') : upstream
  return printable(target === '' ? workload : target)
}

function whatOf({ kind, method, path, listener }: Decision): string {
  if (kind === 'connection') return `connection to ${printable(listener)}`
  return `${printable(method ?? '')} ${printable(path ?? '')}`.trim()
}

function resultOf({ kind, status = 0, outcome, denial, rule, bytes }: Decision, paint: Paint): string {
  const said = kind === 'request' && status > 0 ? String(status) : outcome
  // A rule that refuses has a name that its team chose; the denial is the word for the rest.
  const why = printable(rule ?? denial ?? '')
  const size = kind === 'connection' && denial === undefined ? ` ${bytes} B` : ''
  return `${paint(styleOf(status, outcome), said)}${why === '' ? '' : ` ${why}`}${size}`
}

function styleOf(status: number, outcome: string): Style {
  if (outcome === 'denied' || outcome === 'malformed' || (status >= 400 && status < 500)) return 'yellow'
  if (outcome === 'failed' || outcome === 'aborted' || status >= 500) return 'red'
  return 'green'
}

function shorten(name: string): string {
  return name.startsWith(SYSTEM) ? name.slice(SYSTEM.length) : name
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - [...text].length))
}
