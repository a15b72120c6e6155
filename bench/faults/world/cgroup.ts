import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRoot } from './machine.ts'

/** What a container may have. */
export interface Share {
  /** Of one CPU. */
  readonly cpu: number
  readonly memoryBytes: number
}

/** Processes that share a limit, as those of a container do. */
export interface ControlGroup {
  /** Whoever writes its own number into each of these is one of them. */
  readonly files: readonly string[]
  /** How often the kernel has killed one of them for want of memory. */
  killed(): number
  remove(): void
}

const PERIOD_US = 100_000
const UNIFIED = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']
const V1 = '/sys/fs/cgroup'

export function lacksControlGroups(): string | undefined {
  if (!isRoot()) return 'it takes root to limit what a process may have'
  return unifiedRoot() === undefined && !hasV1() ? 'there are no control groups to limit CPU and memory by' : undefined
}

export function makeControlGroup(name: string, { cpu, memoryBytes }: Share): ControlGroup {
  const unified = unifiedRoot()
  const quota = Math.round(cpu * PERIOD_US)
  if (unified !== undefined) {
    const directory = join(unified, name)
    mkdirSync(directory)
    writeFileSync(join(directory, 'cpu.max'), `${quota} ${PERIOD_US}`)
    writeFileSync(join(directory, 'memory.max'), String(memoryBytes))
    return {
      files: [join(directory, 'cgroup.procs')],
      killed: () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(directory, 'memory.events'), 'utf8'))?.[1] ?? 0),
      remove: () => rmdirSync(directory),
    }
  }
  const [cpuDirectory, memoryDirectory] = [join(V1, 'cpu', name), join(V1, 'memory', name)]
  for (const directory of [cpuDirectory, memoryDirectory]) mkdirSync(directory)
  writeFileSync(join(cpuDirectory, 'cpu.cfs_period_us'), String(PERIOD_US))
  writeFileSync(join(cpuDirectory, 'cpu.cfs_quota_us'), String(quota))
  writeFileSync(join(memoryDirectory, 'memory.limit_in_bytes'), String(memoryBytes))
  return {
    files: [cpuDirectory, memoryDirectory].map((directory) => join(directory, 'cgroup.procs')),
    killed: () =>
      Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(memoryDirectory, 'memory.oom_control'), 'utf8'))?.[1] ?? 0),
    remove() {
      for (const directory of [cpuDirectory, memoryDirectory]) rmdirSync(directory)
    },
  }
}

/** Where both controllers are handed on to groups below. */
function unifiedRoot(): string | undefined {
  return UNIFIED.find((root) => {
    const file = join(root, 'cgroup.subtree_control')
    if (!existsSync(file)) return false
    const controllers = readFileSync(file, 'utf8').trim().split(' ')
    return controllers.includes('cpu') && controllers.includes('memory')
  })
}

function hasV1(): boolean {
  return existsSync(join(V1, 'cpu', 'cpu.cfs_quota_us')) && existsSync(join(V1, 'memory', 'memory.limit_in_bytes'))
}
