import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** How to get it, for whoever has Go. */
export const INSTALL_H2SPEC = 'go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible'

/** The conformance tests of HTTP/2, on the path or where Go installs programs; undefined: they are not here. */
export function findH2spec(env: NodeJS.ProcessEnv): string | undefined {
  const goFolders = [
    env.GOBIN,
    ...(env.GOPATH ?? join(homedir(), 'go')).split(delimiter).map((path) => join(path, 'bin')),
  ]
  for (const folder of [...(env.PATH ?? '').split(delimiter), ...goFolders]) {
    if (folder === undefined || folder === '') continue
    const program = join(folder, 'h2spec')
    try {
      accessSync(program, constants.X_OK)
      return program
    } catch {
      // Not there.
    }
  }
  return undefined
}

export interface H2specTarget {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

/** Its closing line, and all it said. `--strict`: with the tests of what the RFC only recommends. */
export async function runH2spec(
  program: string,
  { host, port, tls }: H2specTarget,
): Promise<{ readonly closing: string; readonly output: string }> {
  const options = ['--strict', '-h', host, '-p', String(port), ...(tls ? ['-t', '-k'] : [])]
  const output = await run(program, options, { timeout: 120_000, maxBuffer: 16 * 1024 * 1024 }).then(
    ({ stdout }) => stdout,
    // It exits with 1 when a test fails.
    (error: { stdout?: string }) => error.stdout ?? String(error),
  )
  return { closing: output.trimEnd().split('\n').at(-1) ?? '', output }
}
