import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

export function isRoot(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0
}

/** The programs of these that are not installed. */
export function missingPrograms(...names: readonly string[]): readonly string[] {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return names.filter((name) => !directories.some((directory) => isExecutable(join(directory, name))))
}

/** What a scenario says of programs that it lacks; undefined: none. */
export function lacksPrograms(...names: readonly string[]): string | undefined {
  const missing = missingPrograms(...names)
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`
}

/** Runs a command to its end; throws with what it said when it fails. */
export function runCommand(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Descriptors that a process of ours may have. */
export function maxDescriptors(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
