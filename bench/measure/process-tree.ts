import { readdirSync, readFileSync } from 'node:fs'

/** What a process and everything below it have used. */
export interface Usage {
  /** Microseconds on a CPU since the start, over all threads that live. */
  readonly cpuUs: number
  /** Bytes of anonymous memory that are resident now: heap, stacks, JIT code; not what is mapped from files. */
  readonly anonymousBytes: number
}

/** Reads the usage of the tree below `pid`, from /proc: Linux only. */
export function usageOf(pid: number): Usage {
  let cpuUs = 0
  let anonymousBytes = 0
  for (const one of treeOf(pid)) {
    cpuUs += cpuOf(one)
    anonymousBytes += anonymousOf(one)
  }
  return { cpuUs, anonymousBytes }
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

function anonymousOf(pid: number): number {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes ?? 0) * 1_024
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
