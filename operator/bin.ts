import { RELEASE } from '../runtime/release.ts'
import { askAdmin } from './cluster/ask-admin.ts'
import { readClusterOptions, USAGE, UsageError } from './cluster/options.ts'
import { runClusterOperator } from './cluster/run-cluster-operator.ts'
import { openClient } from './kubernetes/client.ts'

/** The program of the operator image. Resolves with the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const [command, path, ...rest] = args
  if (command === 'ask' && path !== undefined && rest.length === 0) return ask(path)
  const options = readClusterOptions(args)
  if (options === 'help') return say(USAGE)
  if (options === 'version') return say(`${RELEASE}\n`)
  const end = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.abort())
  return runClusterOperator(options, RELEASE, end.signal)
}

/** The port that an operator has unless it is told otherwise; whoever tells it so asks there by other means. */
const ADMIN_PORT = 15_000

async function ask(path: string): Promise<number> {
  const client = await openClient({ config: { from: 'in-cluster' }, userAgent: `hauberk-operator/${RELEASE}` })
  try {
    return await askAdmin(path, { client, port: ADMIN_PORT, out: process.stdout, err: process.stderr })
  } finally {
    client.close()
  }
}

function say(text: string): number {
  process.stdout.write(text)
  return 0
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2))
  } catch (error) {
    const isUsage = error instanceof UsageError
    process.stderr.write(`${isUsage ? `${error.message}\n\n${USAGE}` : describe(error)}\n`)
    process.exitCode = isUsage ? 2 : 1
  }
  process.exit()
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\n${describe(error.cause)}`}`
}
