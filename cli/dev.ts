import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../model/duration.ts'
import { describeIssue, type Issue } from '../model/result.ts'
import type { DecisionLogLevel } from '../sidecar/observe/decision-log.ts'
import { isTelling } from './dev/decision.ts'
import { formatDecision } from './dev/live-line.ts'
import { MeshFilesError, startLocalMesh } from './dev/local-mesh.ts'
import type { MeshEvent } from './dev/mesh-event.ts'
import { createProgress, type Progress } from './dev/progress.ts'
import { describeEnd } from './dev/unready.ts'
import { welcomePage } from './dev/welcome.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { addFileOption } from './file-option.ts'
import { type Output, type Paint, painterOf } from './paint.ts'
import { printable } from './printable.ts'
import { DEFAULT_STATE } from './running-mesh.ts'

interface DevOptions {
  readonly file?: readonly string[]
  readonly watch: boolean
  readonly state: string
  readonly httpsPort: number
  readonly httpPort: number
  readonly decisionLog: DecisionLogLevel
  readonly leafLifetime?: number
  readonly apps: boolean
  readonly quiet: boolean
}

/** `hauberk dev`: a whole mesh on this machine. */
export function defineDev(command: Command): void {
  addFileOption(command)
    .option('--watch', 'also start and stop workloads as they come and go in the files', false)
    .option('--state <dir>', 'where keys, secrets, logs and databases are kept', DEFAULT_STATE)
    .option('--https-port <port>', 'the port for 443 of the Gateway; 0 is any free one', parsePort, 8443)
    .option('--http-port <port>', 'the port for 80 of the Gateway; 0 is any free one', parsePort, 8080)
    .addOption(
      new Option('--decision-log <which>', 'which decisions are told and logged')
        .choices(['all', 'denied', 'off'])
        .default('all'),
    )
    .option(
      '--leaf-lifetime <duration>',
      'how long certificates live, from 30s on; default: what MeshConfig says',
      parseLifetime,
    )
    .option('--no-apps', 'start no app: do that yourself, with workloads/NAMESPACE.NAME/app.env of the state directory')
    .option('--quiet', 'print no decisions; they are in the logs', false)
    .addHelpText('after', HELP)
    .action(async (options: DevOptions) => {
      if (options.file === undefined) throw new CommandError(EXIT.usage, 'hauberk dev: say which files with -f')
      await dev({ ...options, file: options.file }, process.stdout)
    })
}

const HELP = `
Examples:
  hauberk dev -f samples/shop                      the sample shop on https://shop.localhost:8443
  hauberk dev -f k8s -f policies --watch           follow Deployments too, not only policies
  hauberk dev -f k8s --https-port 0 --http-port 0  on any free ports
  hauberk dev -f k8s --no-apps                     everything but the apps, to run them in a debugger

What a Deployment needs for that: the annotation hauberk.dev/local-command, which names the command that stands for
its image. Ctrl-C lets requests finish and ends everything; a second one does not wait.

Exit codes: 0 it ended as it was asked to, 1 it could not start, 2 wrong usage, 79 the files have mistakes.`

function parsePort(text: string): number {
  const port = Number(text)
  if (/^[0-9]{1,5}$/.test(text) && port <= 65_535) return port
  throw new InvalidArgumentError('It is not a port from 0 to 65535.')
}

const MIN_LIFETIME_MS = 30_000

function parseLifetime(text: string): number {
  const parsed = parseDuration(text)
  if (parsed.ok && parsed.value >= MIN_LIFETIME_MS) return parsed.value
  throw new InvalidArgumentError('Write a duration of 30s or more, such as 30s or 1h.')
}

/** After a Ctrl-C that did not wait: 128 and the number of SIGINT, as shells have it. */
const INTERRUPTED = 130

async function dev(options: DevOptions & { readonly file: readonly string[] }, out: Output): Promise<void> {
  const startedAt = performance.now()
  const paint = painterOf(out)
  const progress = createProgress(out)
  const { asked, forced } = listenForEnd(out)
  const mesh = await startLocalMesh({
    files: options.file,
    stateDirectory: options.state,
    httpsPort: options.httpsPort,
    httpPort: options.httpPort,
    decisionLog: options.decisionLog,
    ...(options.leafLifetime !== undefined && { leafLifetimeMs: options.leafLifetime }),
    apps: options.apps,
    watch: options.watch,
    program: [process.execPath, process.argv[1] ?? ''],
    signal: asked,
    onEvent: (event) => tell(event, progress, paint),
  }).catch((error: unknown) => {
    progress.close()
    throw asCommandError(error, paint)
  })
  forced.addEventListener('abort', () => mesh.abort(), { once: true })
  progress.close()
  for (const found of mesh.issues) progress.say(` ${issueLine(found, paint)}`)
  out.write(`\n ${paint('bold', `Ready in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s.`)}\n`)
  out.write(`${welcomePage(mesh, paint, process.cwd())}\n`)
  if (!options.quiet && options.decisionLog !== 'off') {
    out.write(` ${paint('bold', 'Decisions')} ${paint('dim', 'as they are made. Ctrl-C ends the mesh.')}\n\n`)
    mesh.onDecision((decision) => {
      if (isTelling(decision)) progress.say(formatDecision(decision, paint))
    })
  }
  await whenAborted(asked)
  progress.say(paint('dim', '\n Ending. Requests in flight finish first; another Ctrl-C does not wait for them.'))
  await mesh.stop()
  process.exit(forced.aborted ? INTERRUPTED : EXIT.ok)
}

/** Milliseconds within which a second signal is the same Ctrl-C: the terminal sends it to us, and npm passes it on once more. */
const SAME_MS = 400

/** The first Ctrl-C (or its like) asks, the second forces. A reader of our output who is gone, as with `| head`, asks too. */
function listenForEnd(out: Output): { readonly asked: AbortSignal; readonly forced: AbortSignal } {
  const asked = new AbortController()
  const forced = new AbortController()
  let askedAt = 0
  const end = () => {
    if (!asked.signal.aborted) {
      askedAt = performance.now()
      asked.abort(new CommandError(EXIT.failure, 'given up before everything was ready'))
    } else if (performance.now() - askedAt > SAME_MS) {
      forced.abort()
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
  out.on('error', () => {
    if (!asked.signal.aborted) end()
  })
  return { asked: asked.signal, forced: forced.signal }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** What happens to the mesh, a line each. */
function tell(event: MeshEvent, progress: Progress, paint: Paint): void {
  const say = (text: string) => progress.say(` ${text}`)
  switch (event.type) {
    case 'step-began':
      return progress.begin(event.name)
    case 'step-done':
      return progress.done(event.name, event.ms, event.label)
    case 'step-failed':
      return progress.failed(event.name, event.ms)
    case 'ended':
      return say(paint('yellow', `${event.name}: ${describeEnd(event.how)}, and is started again`))
    case 'back':
      return
    case 'issues': {
      for (const found of event.appeared) say(issueLine(found, paint))
      if (event.kind === 'file' && event.appeared.length > 0)
        say(paint('dim', 'What the file said before stays in force.'))
      for (const text of new Set(event.gone.map((found) => placeOf(found))))
        say(paint('green', `${text} is well again`))
      return
    }
    case 'changed': {
      for (const workload of event.started) say(`${workload} was added, and is started`)
      for (const workload of event.restarted) say(`${workload} was changed, and is started anew`)
      for (const workload of event.stopped) say(`${workload} was removed, and is stopped`)
      return
    }
    case 'unfollowed':
      return say(
        paint('yellow', 'The files say something else about what runs: start again, or with --watch, to follow.'),
      )
    case 'trouble':
      return say(paint('red', `A change could not be followed: ${event.error.message}`))
  }
}

function issueLine(found: Issue, paint: Paint): string {
  return paint(found.severity === 'error' ? 'red' : 'yellow', printable(describeIssue(found)))
}

function placeOf({ location, resource }: Issue): string {
  return location?.file ?? resource ?? 'what was wrong'
}

function asCommandError(error: unknown, paint: Paint): unknown {
  if (error instanceof MeshFilesError) {
    process.stderr.write(error.issues.map((found) => `${issueLine(found, paint)}\n`).join(''))
    return new CommandError(EXIT.findings)
  }
  if (error instanceof Error && EXPECTED.has(error.name))
    return new CommandError(EXIT.failure, `hauberk dev: ${error.message}`)
  return error
}

/** Errors whose message says all that a person needs. */
const EXPECTED: ReadonlySet<string> = new Set([
  'NoFreePortError',
  'NoSuchPathError',
  'NotReadyError',
  'PortTakenError',
  'StateDirectoryError',
])
