import { readFileSync } from 'node:fs'

/** A process as it is known later: numbers are used again, start times are not. */
export interface ProcessMark {
  readonly pid: number
  /** From /proc; undefined where there is none. */
  readonly startTime: string | undefined
}

/** When a process was started, in ticks since the boot (proc(5), field 22); undefined: not Linux, or there is no such process. */
export function startTimeOf(pid: number): string | undefined {
  return readStat(pid)?.startTime
}

function readStat(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is a name in brackets that may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' }
  } catch {
    return undefined
  }
}

export function markOf(pid: number): ProcessMark {
  return { pid, startTime: startTimeOf(pid) }
}

/** Whether that very process still runs; what only waits to be collected does not. Without /proc the number alone decides. */
export function isRunning({ pid, startTime }: ProcessMark): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  if (startTime !== undefined) {
    const stat = readStat(pid)
    return stat?.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X'
  }
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Signals a process and all of its group, which it leads. False when there is none any more. */
export function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-pid, signal)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // macOS says EPERM for a group of zombies.
    if (code === 'ESRCH' || code === 'EPERM') return false
    throw error
  }
}
