import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../world/until.ts'

const exec = promisify(execFile)

const POM = join(import.meta.dirname, 'pom.xml')
/** Run from its source. */
const START = join(import.meta.dirname, 'Start.java')

/** OpenSearch 3 wants this Java at least. */
const MIN_JAVA = 21

/** A real OpenSearch of one node. */
export interface OpenSearch {
  /** What it answers to a request, as JSON. Throws for a status of 400 and above, with what it says. */
  ask(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown): Promise<unknown>
  stop(): Promise<void>
}

/** What OpenSearch is started by. */
export interface Tools {
  readonly java: string
}

/** Where they are, or what is missing. */
export function findTools(): Tools | string {
  try {
    execFileSync('mvn', ['--version'], { stdio: 'ignore' })
  } catch {
    return 'There is no `mvn` on PATH, which fetches OpenSearch'
  }
  const candidates = [
    ...(process.env['JAVA_HOME'] === undefined ? [] : [join(process.env['JAVA_HOME'], 'bin/java')]),
    ...globSync('/usr/lib/jvm/*/bin/java'),
    'java',
  ]
  const java = candidates.find((program) => (versionOf(program) ?? 0) >= MIN_JAVA)
  return java === undefined ? `There is no Java ${MIN_JAVA} or newer in JAVA_HOME, /usr/lib/jvm or PATH` : { java }
}

function versionOf(java: string): number | undefined {
  try {
    const settings = execFileSync(java, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return Number(/^\S+ (\d+)/.exec(settings)?.[1])
  } catch {
    return undefined
  }
}

/** Maven could not fetch it: there is no way to its repository. */
export class NotFetchedError extends Error {
  override readonly name = 'NotFetchedError'
}

/** Fetches what it takes, once, and starts it. `directory` is for its data. Rejects with {@link NotFetchedError}, among others. */
export async function startOpenSearch({ java }: Tools, directory: string): Promise<OpenSearch> {
  await mkdir(directory, { recursive: true })
  const listing = join(directory, 'classpath')
  const goal = ['dependency:build-classpath', `-Dmdep.outputFile=${listing}`]
  await exec('mvn', ['-q', '-B', '-f', POM, ...goal], { timeout: 300_000 }).catch((cause: unknown) => {
    throw new NotFetchedError('Maven could not fetch OpenSearch', { cause })
  })
  const port = await freePort()
  const output = await open(join(directory, 'output'), 'w')
  const child = spawn(
    java,
    ['-Xms512m', '-Xmx1g', '-cp', (await readFile(listing, 'utf8')).trim(), START, directory, String(port)],
    // It ends when its input does.
    { stdio: ['pipe', output.fd, output.fd] },
  )
  const ended = once(child, 'exit')
  const origin = `http://127.0.0.1:${port}`
  const stop = async () => {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await ended
    clearTimeout(late)
    await output.close()
  }
  try {
    await until(
      'OpenSearch answers',
      async () => {
        if (child.exitCode !== null) {
          const said = await readFile(join(directory, 'output'), 'utf8')
          throw new Error(`OpenSearch ended with ${child.exitCode}: ${said.slice(-2_000)}`)
        }
        return (await fetch(origin).catch(() => undefined))?.status === 200
      },
      { withinMs: 90_000, everyMs: 250 },
    )
  } catch (error) {
    await stop()
    throw error
  }
  return {
    async ask(method, path, body) {
      const isLines = typeof body === 'string'
      const response = await fetch(`${origin}${path}`, {
        method,
        headers: { 'content-type': isLines ? 'application/x-ndjson' : 'application/json' },
        ...(body !== undefined && { body: isLines ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(60_000),
      })
      const text = await response.text()
      if (response.status >= 400) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 2_000)}`)
      return JSON.parse(text) as unknown
    },
    stop,
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { readonly port: number }
  server.close()
  await once(server, 'close')
  return port
}
