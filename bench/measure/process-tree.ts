import { readdirSync, readFileSync } from 'node:fs'

/** What processes and everything below them have used. */
export interface Usage {
  /** Microseconds on a CPU since the start, over all threads that live. */
  readonly cpuUs: number
  /** The same of children that have ended and were waited for; no finer than 10 ms each. */
  readonly endedUs: number
  /** Bytes of anonymous memory that are resident now: heap, stacks, JIT code; not what is mapped from files. */
  readonly anonymousBytes: number
  /** Bytes that are resident now, with what is mapped from files. */
  readonly residentBytes: number
}

/** Reads the usage of the trees below `pids`, from /proc: Linux only. */
export function usageOf(pids: readonly number[]): Usage {
  let cpuUs = 0
  let endedUs = 0
  let anonymousBytes = 0
  let residentBytes = 0
  for (const one of pids.flatMap(treeOf)) {
    cpuUs += cpuOf(one)
    endedUs += endedOf(one)
    const status = readFileSync(`/proc/${one}/status`, 'utf8')
    anonymousBytes += kilobytesIn(status, /^RssAnon:\s+(\d+) kB$/m) * 1_024
    residentBytes += kilobytesIn(status, /^VmRSS:\s+(\d+) kB$/m) * 1_024
  }
  return { cpuUs, endedUs, anonymousBytes, residentBytes }
}

/**
 * Microseconds that all CPUs together were not idle since boot: with what is ours, what others took. It is sampled, and so
 * no more than an estimate.
 */
export function machineBusyUs(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = line.split(/\s+/).slice(1).map(Number)
  return (user + nice + system + irq + softIrq + steal) * US_PER_TICK
}

/** USER_HZ is 100 on every Linux that Node runs on. */
const US_PER_TICK = 10_000

/** The first number is nanoseconds on a CPU: a hundred times finer than what /proc/PID/stat says. */
function cpuOf(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0])
  }
  return nanoseconds / 1_000
}

/** Of /proc/PID/stat (proc_pid_stat(5)), fields 16 and 17. The name before them may hold anything but a newline. */
function endedOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) * US_PER_TICK
}

function kilobytesIn(status: string, pattern: RegExp): number {
  return Number(pattern.exec(status)?.[1] ?? 0)
}

function treeOf(root: number): readonly number[] {
  const tree = [root]
  // It grows while it is walked.
  for (const pid of tree) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
      for (const child of children.split(' ')) if (child !== '') tree.push(Number(child))
    }
  }
  return tree
}
