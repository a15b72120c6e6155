import { PassThrough, Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import type { KubeConfig, V1Status } from '@kubernetes/client-node'

/** A container of a pod. */
export interface ContainerName {
  readonly namespace: string
  readonly pod: string
  readonly container: string
}

export interface ExecResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program in a container to its end. Rejects with an {@link ExecError} where it could not be run at all. */
export type Exec = (target: ContainerName, command: readonly string[]) => Promise<ExecResult>

/** Why no program ran: in one sentence. */
export class ExecError extends Error {
  override readonly name = 'ExecError'
  /** Whether the next try may well succeed: it took too long, or its connection broke. */
  readonly isPassing: boolean

  constructor(message: string, { cause, isPassing = false }: ErrorOptions & { readonly isPassing?: boolean } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.isPassing = isPassing
  }
}

/** Milliseconds for one program, from the first byte of the connection to its exit code. */
const EXEC_MS = 20_000

/** Bytes of its output at most: a configuration is at most 16 MiB. */
const MAX_OUTPUT_BYTES = 32 * 1024 * 1024

/** Programs at once. Each is a process beside the traffic of a sidecar. */
const MAX_AT_ONCE = 6

/** Runs programs by `pods/exec` of the API server, as `kubectl exec` does. */
export function createExec(config: KubeConfig): Exec {
  let running = 0
  const waiting: (() => void)[] = []
  return async (target, command) => {
    if (running >= MAX_AT_ONCE) await new Promise<void>((go) => waiting.push(go))
    else running += 1
    try {
      return await execOnce(config, target, command)
    } finally {
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}

/**
 * Runs a program in a container for as long as `signal` allows, and gives each line that it prints. Its input is open until then, and
 * its end is the program's sign to end. Resolves once it has ended, or was let go; rejects with an {@link ExecError} where it fails.
 */
export type ExecLines = (
  target: ContainerName,
  command: readonly string[],
  onLine: (line: string) => void,
  signal: AbortSignal,
) => Promise<void>

/** Programs that print lines, by `pods/exec` of the API server. */
export function createExecLines(config: KubeConfig): ExecLines {
  return async ({ namespace, pod, container }, command, onLine, signal) => {
    const { Exec } = await import('@kubernetes/client-node')
    const where = `${container} of ${namespace}/${pod}`
    const status = Promise.withResolvers<V1Status | undefined>()
    const letGo = () => status.resolve(undefined)
    signal.addEventListener('abort', letGo, { once: true })
    const stdin = new PassThrough()
    const stdout = createLineSink(onLine)
    const stderr = createSink()
    try {
      const opening = new Exec(config).exec(
        namespace,
        pod,
        container,
        [...command],
        stdout,
        stderr.stream,
        stdin,
        false,
        (said) => status.resolve(said),
      )
      const connection = await opening
      connection.on('error', (cause) => status.reject(new ExecError(`the connection to ${where} broke`, { cause })))
      connection.on('close', () => status.reject(new ExecError(`the connection to ${where} ended`)))
      const ended = await status.promise
      stdin.end()
      connection.close()
      if (ended === undefined) return
      const exitCode = exitCodeOf(ended, where)
      if (exitCode !== 0) throw new ExecError(stderr.text().trim() || `exit code ${exitCode}`)
    } catch (cause) {
      if (cause instanceof ExecError) throw cause
      throw new ExecError(refusalOf(cause, where), { cause })
    } finally {
      signal.removeEventListener('abort', letGo)
      stdin.destroy()
    }
  }
}

/** Characters of one line at most. */
const MAX_LINE = 262_144

function createLineSink(onLine: (line: string) => void): Writable {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  return new Writable({
    write(chunk: Buffer, _, done) {
      const lines = (rest + decoder.write(chunk)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onLine(line)
      done(rest.length > MAX_LINE ? new ExecError('it says too much') : null)
    },
  })
}

async function execOnce(
  config: KubeConfig,
  { namespace, pod, container }: ContainerName,
  command: readonly string[],
): Promise<ExecResult> {
  // It is large, and commands that never speak to a cluster do without it.
  const { Exec } = await import('@kubernetes/client-node')
  const [stdout, stderr] = [createSink(), createSink()]
  const where = `${container} of ${namespace}/${pod}`
  const status = Promise.withResolvers<V1Status>()
  // Whoever waits for the connection hears of a failure as well.
  status.promise.catch(() => {})
  const fail = (message: string, cause?: unknown) => status.reject(new ExecError(message, { cause, isPassing: true }))
  const timer = setTimeout(() => fail(`${where} did not answer in time`), EXEC_MS)
  const streams = [stdout.stream, stderr.stream, null] as const
  const opening = new Exec(config).exec(namespace, pod, container, [...command], ...streams, false, (said) =>
    status.resolve(said),
  )
  try {
    const connection = await Promise.race([opening, status.promise.then(() => opening)])
    connection.on('error', (cause) => fail(`the connection to ${where} broke`, cause))
    connection.on('close', () => fail(`the connection to ${where} ended early`))
    const exitCode = exitCodeOf(await status.promise, where)
    return { exitCode, stdout: stdout.text(), stderr: stderr.text() }
  } catch (cause) {
    if (cause instanceof ExecError) throw cause
    throw new ExecError(refusalOf(cause, where), { cause })
  } finally {
    clearTimeout(timer)
    // Also one that opens too late for anybody.
    opening.then(
      (connection) => connection.terminate(),
      () => {},
    )
  }
}

/** `metav1.Status` of a program that ended: with another code than 0 it is a failure with a cause. */
function exitCodeOf({ status, reason, message, details }: V1Status, where: string): number {
  if (status === 'Success') return 0
  const code = details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message
  if (reason === 'NonZeroExitCode' && code !== undefined) return Number(code)
  throw new ExecError(`${where} ran nothing: ${message ?? reason ?? 'the API server gives no reason'}`)
}

/** What `ws` says of an answer that is no upgrade, in words. */
function refusalOf(cause: unknown, where: string): string {
  const { message = String(cause) } = cause as { readonly message?: string }
  const status = /Unexpected server response: (\d+)/.exec(message)?.[1]
  if (status === '403') return `you may not run programs in ${where} (create on pods/exec)`
  if (status === '404') return `${where} is not there any more`
  return `no program can be run in ${where}: ${status === undefined ? message : `the API server answers ${status}`}`
}

function createSink() {
  const chunks: Buffer[] = []
  let bytes = 0
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      bytes += chunk.length
      if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk)
      done(bytes <= MAX_OUTPUT_BYTES ? null : new ExecError('it says too much'))
    },
  })
  stream.on('error', () => {})
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') }
}
