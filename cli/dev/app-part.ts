import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { KEYSTORE_FILES } from '../../sidecar/keystores/files.ts'
import { type Running, startChild } from './child-process.ts'
import type { MeshContext } from './mesh-context.ts'
import { createPart, type Part } from './part.ts'
import type { CommandPlan, MountPlan, PostgresPlan, WorkloadPlan } from './plan.ts'
import { startPostgres } from './postgres.ts'
import type { PostgresHome } from './postgres-home.ts'
import { accepts, httpStatus } from './probe.ts'
import { signalGroup, startTimeOf } from './process-tree.ts'
import { watchReadiness } from './readiness.ts'
import { supervise } from './supervise.ts'

export interface AppPartOptions {
  readonly plan: WorkloadPlan
  /** Where databases live. */
  readonly postgresHome: PostgresHome
  /** Is told the process that the app's process tree starts from. */
  readonly pidFile: string
  /** False: a command is not started; somebody does that by hand, with the environment in `app.env`. */
  readonly isStarted: boolean
  readonly onReadiness?: (isReady: boolean) => void
}

export interface AppPart {
  readonly part: Part
  readonly plan: WorkloadPlan
}

/** Starts what a workload runs, and keeps it running. */
export async function startAppPart(options: AppPartOptions, context: MeshContext): Promise<AppPart> {
  const { plan, postgresHome, pidFile, isStarted, onReadiness } = options
  const { state, clock, random } = context
  const { app } = plan
  const name = `app ${plan.id}`
  const log = context.log(`${plan.name}.app`)
  await mkdir(state.at('workloads', plan.name), { recursive: true, mode: 0o700 })
  await Promise.all(plan.mounts.map(linkMount))
  if (app.kind === 'command') await writeFileAtomic(state.at('workloads', plan.name, 'app.env'), environmentFile(app))

  let postgres: Running | undefined
  const isCommandReady = (plan: CommandPlan) => async () => {
    const { readiness } = plan
    if (readiness === undefined) return supervised?.pid !== undefined
    if (readiness.path === undefined) return accepts(readiness.port)
    const status = (await httpStatus(readiness.port, readiness.path))?.status ?? 0
    return status >= 200 && status < 300
  }
  const readiness = watchReadiness({
    look: app.kind === 'command' ? isCommandReady(app) : async () => postgres !== undefined,
    ...(onReadiness !== undefined && { onChange: onReadiness }),
    clock,
  })
  const start = async (): Promise<Running> => {
    if (app.kind === 'command') {
      if (plan.keystoreDirectory !== undefined) await keystoresIn(plan.keystoreDirectory, clock)
      const { argv, directory, environment } = app
      return startChild({ argv, directory, environment, ipc: false, onLine: (line) => log.write(line) })
    }
    await postgresHome.prepare(plan.name)
    postgres = await startDatabase(app, postgresHome.dataDirectory(plan.name), (line) => log.write(line))
    return postgres
  }
  const supervised =
    app.kind === 'command' && !isStarted
      ? undefined
      : supervise({
          name,
          start,
          onStarted(running) {
            context.onStarted(name, running, app.kind === 'postgres' ? 'SIGINT' : 'SIGTERM')
            // Before the app can dial anybody: its sidecar looks at whose connection it is.
            const { pid } = running
            writeFileSync(pidFile, [pid, startTimeOf(pid) ?? []].flat().join(' '), { mode: 0o600 })
          },
          onEnded(how, waitMs) {
            postgres = undefined
            // Its number may be somebody else's tomorrow.
            rmSync(pidFile, { force: true })
            readiness.lost()
            context.onEnded(name, how, waitMs)
          },
          clock,
          random,
        })
  return { part: createPart(name, supervised, readiness, log), plan }
}

async function startDatabase(
  { user, database, passwordFile, socketDirectory }: PostgresPlan,
  dataDir: string,
  log: (line: string) => void,
): Promise<Running> {
  const { pid, exited, stop } = await startPostgres({
    dataDir,
    socketDir: socketDirectory,
    user,
    database,
    ...(passwordFile !== undefined && { passwordFile }),
    log,
  })
  return { pid, exited, stop: () => stop(), kill: () => void signalGroup(pid, 'SIGKILL') }
}

/** Milliseconds that an app waits for its keystores. In a pod its sidecar would be ready before it; here the two start side by side. */
const KEYSTORES_MS = 30_000
const POLL_MS = 40

async function keystoresIn(directory: string, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + KEYSTORES_MS
  while (!existsSync(join(directory, KEYSTORE_FILES.keystore)) && clock.monotonic() < deadline)
    await sleep(clock, POLL_MS)
}

/** Anew each time: what the Secret no longer has is gone. A link is followed to what the file holds at the moment. */
async function linkMount({ directory, links }: MountPlan): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true, mode: 0o700 })
  for (const { path, target } of links) {
    await mkdir(dirname(join(directory, path)), { recursive: true, mode: 0o700 })
    await symlink(target, join(directory, path))
  }
}

/** As `node --env-file` and shells read it. */
function environmentFile({ argv, directory, environment }: CommandPlan): string {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${quoted(value)}\n`)
  return `# cd ${directory} && ${argv.join(' ')}\n${lines.join('')}`
}

function quoted(value: string): string {
  return /^[\w./:@%,+=-]*$/.test(value) ? value : `'${value.replaceAll("'", `'"'"'`)}'`
}
