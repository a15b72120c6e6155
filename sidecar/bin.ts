import { parseArgs } from 'node:util'
import { RELEASE } from '../runtime/release.ts'
import { openOriginalDestination } from './capture/original-destination.ts'
import { captureTraffic } from './firewall/capture.ts'
import { askAdmin } from './pod/ask-admin.ts'
import { readPodOptions } from './pod/options.ts'
import { runPod } from './pod/run-pod.ts'

/** The program of the sidecar image: the sidecar and the gateway, and the init container that has traffic led to them. */
const USAGE = `usage: hauberk-sidecar COMMAND

  run          the sidecar of this pod, or the gateway; ends in order on SIGTERM
  capture      the init container: writes the rules that capture the pod's traffic, checks that they work, and ends
  ask PATH     what the sidecar in this container says on its admin port: /config, /identity, /endpoints, /metrics, ...

  --help       this text
  --version    the version

What it is told stands in the variables HAUBERK_SIDECAR, POD_NAME, POD_NAMESPACE and POD_IPS.
Exit codes: 0 done, 1 something failed, 2 the command line is wrong.
`

/** Resolves with the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
  })
  if (values.help === true) return say(USAGE)
  if (values.version === true) return say(`${RELEASE}\n`)
  const [command, ...rest] = positionals
  if (command === 'run' && rest.length === 0) return run()
  if (command === 'capture' && rest.length === 0) return capture()
  if (command === 'ask' && rest.length === 1) return askAdmin(rest[0] ?? '', readPodOptions())
  process.stderr.write(USAGE)
  return 2
}

function run(): Promise<number> {
  const end = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.abort())
  return runPod(readPodOptions(), { release: RELEASE, originalDestination: openOriginalDestination() }, end.signal)
}

function capture(): Promise<number> {
  const { podIps, told } = readPodOptions()
  const originalDestination = openOriginalDestination()
  return captureTraffic({ podIps, exclude: told.exclude, originalDestination }, (sentence) =>
    process.stderr.write(`${sentence}\n`),
  )
}

function say(text: string): number {
  process.stdout.write(text)
  return 0
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2))
  } catch (error) {
    const isUsage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
    process.stderr.write(`${isUsage ? `${error.message}\n\n${USAGE}` : describe(error)}\n`)
    process.exitCode = isUsage ? 2 : 1
  }
  process.exit()
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`
}
