import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

/** What kubectl said instead of doing it. */
export class KubectlError extends Error {
  override readonly name = 'KubectlError'
  readonly stderr: string
  readonly exitCode: number | null

  constructor(args: readonly string[], exitCode: number | null, stderr: string) {
    super(`kubectl ${args.join(' ')}: ${stderr.trim() || `exit code ${exitCode}`}`)
    this.stderr = stderr
    this.exitCode = exitCode
  }
}

/** A resource as `-o json` gives it. */
export interface ClusterObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly generation?: number
  }
  // biome-ignore lint/suspicious/noExplicitAny: tests look into resources of every kind
  readonly spec?: any
  // biome-ignore lint/suspicious/noExplicitAny: tests look into resources of every kind
  readonly status?: any
  readonly data?: Readonly<Record<string, string>>
}

export interface RunOptions {
  readonly input?: string
  /** Default 60 s. */
  readonly timeoutMs?: number
}

/** The cluster as its users reach it: by kubectl, in one context. */
export interface Kubectl {
  readonly context: string
  /** What it prints; a {@link KubectlError} if it fails. */
  run(args: readonly string[], options?: RunOptions): Promise<string>
  /** `get ... -o json`. */
  get(args: readonly string[]): Promise<ClusterObject>
  /** `get ... -o json` of a collection. */
  list(args: readonly string[]): Promise<readonly ClusterObject[]>
  /** `apply -f -`. */
  apply(yaml: string, args?: readonly string[]): Promise<string>
  /** Runs a command in a container, with `input` as its standard input. */
  exec(pod: PodContainer, command: readonly string[], options?: RunOptions): Promise<string>
  /** A door to the API server without TLS or credentials, on loopback: `kubectl proxy`. */
  proxy(): Promise<{ readonly url: string; stop(): void }>
  /** Starts a command that goes on, and tells each line of its output. Stop it by `kill`. */
  follow(args: readonly string[], onLine: (line: string) => void): ChildProcess
}

export interface PodContainer {
  readonly namespace: string
  /** A pod's name, or `deploy/NAME`. */
  readonly pod: string
  readonly container?: string
}

const TIMEOUT_MS = 60_000

export function openKubectl(context: string): Kubectl {
  const common = ['--context', context]

  async function run(args: readonly string[], { input, timeoutMs = TIMEOUT_MS }: RunOptions = {}): Promise<string> {
    const child = spawn('kubectl', [...common, ...args], { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs })
    const failed = new Promise<never>((_, reject) => child.once('error', reject))
    child.stdin.on('error', () => {})
    child.stdin.end(input ?? '')
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [out, err, code] = await Promise.race([Promise.all([text(child.stdout), text(child.stderr), closed]), failed])
    if (code !== 0) throw new KubectlError(args, code, err)
    return out
  }

  const get = async (args: readonly string[]) => JSON.parse(await run(['get', ...args, '-o', 'json'])) as ClusterObject
  return {
    context,
    run,
    get,
    async list(args) {
      const { items } = JSON.parse(await run(['get', ...args, '-o', 'json'])) as { items: readonly ClusterObject[] }
      return items
    },
    apply: (yaml, args = []) => run(['apply', '-f', '-', ...args], { input: yaml }),
    exec({ namespace, pod, container }, command, options) {
      const where = ['-n', namespace, pod, ...(container === undefined ? [] : ['-c', container])]
      return run(['exec', '-i', ...where, '--', ...command], options)
    },
    proxy() {
      const child = spawn('kubectl', [...common, 'proxy', '--port=0'], { stdio: ['ignore', 'pipe', 'ignore'] })
      return new Promise((resolve, reject) => {
        child.once('error', reject)
        child.once('close', () => reject(new Error('kubectl proxy ended')))
        createInterface({ input: child.stdout }).on('line', (line) => {
          const address = /Starting to serve on (\S+)/.exec(line)?.[1]
          if (address !== undefined) resolve({ url: `http://${address}`, stop: () => void child.kill() })
        })
      })
    },
    follow(args, onLine) {
      const child = spawn('kubectl', [...common, ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
      child.on('error', () => {})
      createInterface({ input: child.stdout }).on('line', onLine)
      return child
    },
  }
}
