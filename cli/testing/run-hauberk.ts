import { execFile } from 'node:child_process'
import { join } from 'node:path'

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const MAIN = join(import.meta.dirname, '..', 'main.ts')

/** Runs `hauberk` as a process of its own, in `cwd`, until it ends. `input` is what it reads. */
export function runHauberk(
  args: readonly string[],
  {
    cwd,
    env = {},
    input = '',
  }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>>; readonly input?: string },
): Promise<Finished> {
  return new Promise((resolve) => {
    // No colours by accident: what the test's own terminal can show is none of the child's business.
    const environment = { PATH: '/usr/bin:/bin', ...env }
    const options = { cwd, env: environment, timeout: 120_000, maxBuffer: 16 * 1024 * 1024 }
    const child = execFile(process.execPath, [MAIN, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr })
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}
