import { readFileSync } from 'node:fs'

/**
 * The process that the workload's process tree starts from, out of the file that whoever starts it has written: its id
 * and, where /proc tells, when it started (`4711 93818`, field 22 of /proc/PID/stat).
 *
 * Undefined when the workload does not run. A number alone proves nothing: a file that nobody took away names a process
 * that is gone, and the kernel gives its number to somebody else. Read for each connection to a TCP port, because the
 * workload may have been started again.
 */
export function readAppRoot(path: string | undefined): number | undefined {
  if (path === undefined) return undefined
  try {
    const [id = '', startTime] = readFileSync(path, 'latin1').trim().split(' ')
    const pid = Number(id)
    if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
    return startTime === undefined || startTime === startTimeOf(pid) ? pid : undefined
  } catch {
    return undefined
  }
}

function startTimeOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The name of the command stands in parentheses, and may hold anything.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
