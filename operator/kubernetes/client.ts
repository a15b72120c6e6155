import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { type Access, type Credentials, loadAccess, type TlsMaterial } from './access.ts'
import { KubernetesError, type KubernetesErrorFields } from './errors.ts'
import { createLineCutter } from './lines.ts'

/** One request to the API server. */
export interface KubernetesRequest {
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From the root, escaped: see `resourcePath`. */
  readonly path: string
  /** What is undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Default `application/json`. */
  readonly contentType?: string
  /** Ends the request; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for the whole request, from its start to the last byte of the answer. Default 30,000. */
  readonly timeoutMs?: number
}

/** A request whose answer is a stream of lines that may go on for long. */
export interface KubernetesStreamRequest extends Omit<KubernetesRequest, 'timeoutMs'> {
  /** Milliseconds until the head of the answer. Default 30,000. */
  readonly headTimeoutMs?: number
  /** Milliseconds without a byte after which the connection counts as dead. Default 90,000. */
  readonly idleTimeoutMs?: number
  /** Called when the head of the answer has come and says that all is well. */
  readonly onOpen?: () => void
}

/** What talks to one API server, over keep-alive connections. */
export interface KubernetesClient {
  /** The base URL, for messages. */
  readonly server: string
  /** The namespace of the kubeconfig's context, or of the pod; undefined when there is none. */
  readonly namespace: string | undefined
  /**
   * Resolves with the body of a 2xx answer (at most 64 MiB): parsed where it is JSON, else its text, undefined for none.
   *
   * Rejects with a {@link KubernetesError} for every other answer and for every failure on the way, and with the
   * signal's reason when that ended it. Nothing is tried again, but for a GET over a connection that the server was just
   * closing. `T` is what the caller expects; nothing checks it.
   */
  request<T = unknown>(request: KubernetesRequest): Promise<T>
  /**
   * Calls `onLines` with the complete lines of each chunk that comes, without their ends and without empty ones, and
   * resolves when the server ends the stream. Rejects as `request` does, and with what `onLines` throws; a line is at
   * most 8 MiB.
   */
  stream(request: KubernetesStreamRequest, onLines: (lines: readonly string[]) => void): Promise<void>
  /** Closes all connections; requests in flight reject. */
  close(): void
}

/** Where the API server is, and who asks. */
export type ClientConfig =
  /** As kubectl finds it: `$KUBECONFIG`, `~/.kube/config`, else the service account of the pod. */
  | { readonly from: 'default'; readonly context?: string | undefined }
  /** One kubeconfig file. */
  | { readonly from: 'kubeconfig'; readonly path: string; readonly context?: string | undefined }
  /** The service account of the pod; its token is read again every minute, its CA with each request. */
  | { readonly from: 'in-cluster' }
  /** The text of a kubeconfig: for tests. */
  | { readonly from: 'text'; readonly text: string; readonly context?: string | undefined }

export interface ClientOptions {
  readonly config: ClientConfig
  /** `User-Agent`; `hauberk-operator/0.1.0`. */
  readonly userAgent: string
  /** Connections at once that are no streams; more requests wait. Default 16. */
  readonly maxConnections?: number
  /**
   * Milliseconds until a new connection is there. Default 3,000: a SYN that is lost is sent again after 1, 3, 7 and 15
   * seconds, and one of that time would find an API server that is back long after it is.
   */
  readonly connectTimeoutMs?: number
  /** Default: the machine's. */
  readonly clock?: Clock
}

const CONNECT_TIMEOUT_MS = 3_000
const REQUEST_TIMEOUT_MS = 30_000
const HEAD_TIMEOUT_MS = 30_000
const IDLE_TIMEOUT_MS = 90_000
const MAX_BODY_BYTES = 64 * 1024 * 1024
const MAX_LINE_BYTES = 8 * 1024 * 1024
const MAX_CONNECTIONS = 16
const MAX_RETRY_AFTER_MS = 300_000

/** Free connections are closed before the API server does so (90 s), or a request would meet the one it is closing. */
const FREE_CONNECTION_MS = 60_000

/** A peer that is gone without a word is found after this and ten probes a second apart. */
const KEEP_ALIVE_PROBE_MS = 15_000

/** Characters of an answer that is no `Status` that are kept for the message. */
const MAX_EXCERPT = 256

/** Opens a client; nothing is sent. Rejects with a `KubernetesError` (`Unauthenticated`) for a kubeconfig that cannot be used. */
export async function openClient({
  config,
  userAgent,
  maxConnections = MAX_CONNECTIONS,
  connectTimeoutMs = CONNECT_TIMEOUT_MS,
  clock = systemClock,
}: ClientOptions): Promise<KubernetesClient> {
  const access = await loadAccess(config)
  const closed = new AbortController()
  const agents = {
    requests: createAgents(access, maxConnections),
    streams: createAgents(access, Number.POSITIVE_INFINITY),
  }

  const send = async (
    { method = 'GET', path, query = {}, body, contentType = 'application/json' }: KubernetesRequest,
    pool: keyof typeof agents,
    ended: AbortSignal,
  ): Promise<IncomingMessage> => {
    ended.throwIfAborted()
    const credentials = await unlessEnded(access.credentials(), ended)
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const answer = await exchange(access.server, agents[pool].of(credentials), {
      method,
      path: target(access.server, path, query),
      auth: credentials.basic,
      servername: credentials.tls.servername,
      headers: {
        ...credentials.headers,
        'user-agent': userAgent,
        accept: 'application/json',
        ...(payload !== undefined && { 'content-type': contentType, 'content-length': payload.length }),
      },
      payload,
      ended,
      connectWithin: (late) => clock.setTimer(connectTimeoutMs, () => late(connectTimeoutMs), { keepAlive: false }),
    })
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 300) return answer
    throw await refusal(answer, `${method} ${path}`, ended)
  }

  /** Runs `work` until it is done, the caller or the client ends it, or time is up; whatever it failed with then has one shape. */
  const during = async <T>(
    { method = 'GET', path, signal }: KubernetesRequest,
    work: (ended: AbortSignal, watchdog: Watchdog) => Promise<T>,
  ): Promise<T> => {
    const over = new AbortController()
    const ended = over.signal
    // By hand: `AbortSignal.any` would leave a trace of each request in signals that live as long as the process.
    const unlink = [closed.signal, signal].map((other) => link(other, over))
    const watchdog = createWatchdog(clock, (what) => {
      over.abort(failure('Timeout', `${method} ${path}: ${what} at ${access.server.host}`))
    })
    try {
      return await work(ended, watchdog)
    } catch (error) {
      if (ended.aborted) throw ended.reason
      if (error instanceof KubernetesError) throw error
      throw fromTransport(error, `${method} ${path}`, access.server)
    } finally {
      watchdog.stop()
      for (const undo of unlink) undo()
      // What is still open has nobody left to read it.
      over.abort()
    }
  }

  return {
    server: access.server.href,
    namespace: access.namespace,
    request<T>(request: KubernetesRequest): Promise<T> {
      return during(request, async (ended, watchdog) => {
        const { timeoutMs = REQUEST_TIMEOUT_MS } = request
        watchdog.within(timeoutMs, `no answer within ${timeoutMs} ms`)
        const answer = await send(request, 'requests', ended)
        const text = (await readBody(answer, ended)).toString('utf8')
        if (text === '') return undefined as T
        return (isJson(answer) ? parseJson(text) : text) as T
      })
    },
    stream(request, onLines) {
      return during(request, async (ended, watchdog) => {
        const { headTimeoutMs = HEAD_TIMEOUT_MS, idleTimeoutMs = IDLE_TIMEOUT_MS } = request
        watchdog.within(headTimeoutMs, `no answer within ${headTimeoutMs} ms`)
        const answer = await send(request, 'streams', ended)
        const alive = () => watchdog.within(idleTimeoutMs, `nothing came for ${idleTimeoutMs} ms`)
        alive()
        request.onOpen?.()
        await readLines(answer, onLines, alive, ended)
      })
    },
    close() {
      closed.abort(new KubernetesError({ status: 0, reason: 'Unreachable', message: 'the client is closed' }))
      agents.requests.close()
      agents.streams.close()
    },
  }
}

/** Aborts `controller` when `signal` aborts, until the function it gives is called. */
function link(signal: AbortSignal | undefined, controller: AbortController): () => void {
  if (signal === undefined) return () => {}
  const onAbort = () => controller.abort(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  return () => signal.removeEventListener('abort', onAbort)
}

interface Watchdog {
  /** Unless it is told again or stopped within `ms`, time is up. */
  within(ms: number, what: string): void
  stop(): void
}

/** One timer that is set again only when it is due: a stream moves it with every chunk. */
function createWatchdog(clock: Clock, onLate: (what: string) => void): Watchdog {
  let dueAtMs = 0
  let what = ''
  let cancel: (() => void) | undefined
  let armedForMs = 0
  const look = () => {
    cancel = undefined
    const leftMs = dueAtMs - clock.monotonic()
    if (leftMs > 0) arm(leftMs)
    else onLate(what)
  }
  const arm = (ms: number) => {
    cancel?.()
    armedForMs = clock.monotonic() + ms
    cancel = clock.setTimer(ms, look, { keepAlive: false })
  }
  return {
    within(ms, saying) {
      what = saying
      dueAtMs = clock.monotonic() + ms
      if (cancel === undefined || dueAtMs < armedForMs) arm(ms)
    },
    stop() {
      cancel?.()
      cancel = undefined
    },
  }
}

interface Agents {
  /** The agent whose connections are made with these credentials. */
  of(credentials: Credentials): HttpAgent
  close(): void
}

/**
 * Connections are kept for as long as what they are made with stays the same. With another certificate or CA new ones
 * are opened; the former finish what they carry and close when they have been free for a while.
 */
function createAgents({ server }: Access, maxSockets: number): Agents {
  const pooled = { keepAlive: true, maxSockets, timeout: FREE_CONNECTION_MS }
  const plain = server.protocol === 'http:' ? new HttpAgent(pooled) : undefined
  let current: { readonly tls: TlsMaterial; readonly agent: HttpsAgent } | undefined
  const all = new Set<HttpAgent>(plain === undefined ? [] : [plain])
  return {
    of({ tls, proxyAgent }) {
      if (proxyAgent !== undefined) return proxyAgent
      if (plain !== undefined) return plain
      if (current === undefined || !isSameMaterial(current.tls, tls)) {
        current = { tls, agent: new HttpsAgent({ ...pooled, ...tls }) }
        all.add(current.agent)
        for (const agent of all) if (agent !== current.agent && isUnused(agent)) all.delete(agent)
      }
      return current.agent
    },
    close() {
      for (const agent of all) agent.destroy()
    },
  }
}

function isUnused({ sockets, freeSockets, requests }: HttpAgent): boolean {
  return [sockets, freeSockets, requests].every((held) => Object.keys(held).length === 0)
}

function isSameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return (['ca', 'cert', 'key', 'servername', 'rejectUnauthorized'] as const).every(
    (field) => String(a[field]) === String(b[field]),
  )
}

interface Exchange {
  readonly method: string
  readonly path: string
  readonly auth: string | undefined
  readonly servername: string | undefined
  readonly headers: Readonly<Record<string, string | number | string[] | undefined>>
  readonly payload: Buffer | undefined
  readonly ended: AbortSignal
  /** Calls `late` when a connection should have been there. Returns how to stop. */
  readonly connectWithin: (late: (afterMs: number) => void) => () => void
}

/** Resolves with the head of the answer. */
async function exchange(server: URL, agent: HttpAgent, request: Exchange): Promise<IncomingMessage> {
  for (let isFirst = true; ; isFirst = false) {
    const attempt = await once(server, agent, request)
    if (attempt.ok) return attempt.answer
    // The server closed an idle connection just as it was taken: it has not seen the request.
    const mayRepeat = isFirst && attempt.wasReused && request.method === 'GET' && !request.ended.aborted
    if (!mayRepeat) throw attempt.error
  }
}

type Attempt =
  | { readonly ok: true; readonly answer: IncomingMessage }
  | { readonly ok: false; readonly error: Error; readonly wasReused: boolean }

function once(server: URL, agent: HttpAgent, exchanged: Exchange): Promise<Attempt> {
  const { method, path, auth, servername, headers, payload, ended, connectWithin } = exchanged
  const { promise, resolve } = Promise.withResolvers<Attempt>()
  const ask = server.protocol === 'http:' ? httpRequest : httpsRequest
  const request = ask({
    hostname: server.hostname.replace(/^\[|\]$/g, ''),
    port: server.port || undefined,
    agent,
    method,
    path,
    headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)),
    signal: ended,
    ...(auth !== undefined && { auth }),
    ...(servername !== undefined && { servername }),
  })
  request.on('socket', (socket: Socket) => {
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    socket.setNoDelay(true)
    if (!socket.connecting) return
    const stop = connectWithin((afterMs) => request.destroy(new Error(`no connection within ${afterMs} ms`)))
    socket.once('connect', stop).once('close', stop)
  })
  request.on('response', (answer) => resolve({ ok: true, answer }))
  request.on('error', (error) => resolve({ ok: false, error, wasReused: request.reusedSocket }))
  request.end(payload)
  return promise
}

function target(server: URL, path: string, query: NonNullable<KubernetesRequest['query']>): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  const text = search.toString()
  return server.pathname.replace(/\/$/, '') + path + (text === '' ? '' : `?${text}`)
}

async function readBody(answer: IncomingMessage, ended: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    if (ended.aborted) break
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw failure('TooLarge', `the answer is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function readLines(
  answer: IncomingMessage,
  onLines: (lines: readonly string[]) => void,
  alive: () => void,
  ended: AbortSignal,
): Promise<void> {
  const cutter = createLineCutter(MAX_LINE_BYTES)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const tell = (lines: readonly string[]) => {
    if (lines.length > 0 && !ended.aborted) onLines(lines)
  }
  answer.on('data', (chunk: Buffer) => {
    alive()
    try {
      tell(cutter.cut(chunk))
    } catch (error) {
      reject(error instanceof RangeError ? failure('TooLarge', error.message) : new ListenerFailure(error))
      answer.destroy()
    }
  })
  answer.on('end', () => {
    try {
      const rest = cutter.rest()
      tell(rest === '' ? [] : [rest])
      resolve()
    } catch (error) {
      reject(new ListenerFailure(error))
    }
  })
  answer.on('error', reject)
  answer.on('close', () => reject(failure('Unreachable', 'the connection was closed')))
  await promise
}

/** What the caller's own function threw: it is handed back as it is. */
class ListenerFailure {
  readonly error: unknown
  constructor(error: unknown) {
    this.error = error
  }
}

function isJson({ headers }: IncomingMessage): boolean {
  return (headers['content-type'] ?? '').includes('json')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw failure('Malformed', `the answer is no JSON: ${(cause as Error).message}`, cause)
  }
}

/** The error of an answer that is not 2xx: what its `Status` says, or its first words. */
async function refusal(answer: IncomingMessage, request: string, ended: AbortSignal): Promise<KubernetesError> {
  const status = answer.statusCode ?? 0
  const text = (await readBody(answer, ended)).toString('utf8')
  const fields: KubernetesErrorFields = {
    status,
    reason: REASONS[status] ?? 'Unknown',
    message: `${request}: ${status} ${text.slice(0, MAX_EXCERPT).trim()}`,
    retryAfterMs: retryAfter(answer.headers['retry-after']),
  }
  return new KubernetesError({ ...fields, ...statusFields(text, request) })
}

/** What a `metav1.Status` says, where `text` is one. */
function statusFields(text: string, request: string): Partial<KubernetesErrorFields> {
  let written: unknown
  try {
    written = JSON.parse(text)
  } catch {
    return {}
  }
  if (typeof written !== 'object' || written === null) return {}
  const { kind, reason, message, details } = written as Readonly<Record<string, unknown>>
  if (kind !== 'Status') return {}
  return {
    ...(typeof reason === 'string' && reason !== '' && { reason }),
    ...(typeof message === 'string' && message !== '' && { message: `${request}: ${message}` }),
    ...(details !== undefined && { details }),
  }
}

/** Where a proxy answers in the API server's place. */
const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

/** Seconds only: the API server sends no dates, and a date would need clocks that agree. */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,9}$/.test(header.trim())) return undefined
  return Math.min(MAX_RETRY_AFTER_MS, Number(header) * 1_000)
}

function failure(reason: KubernetesErrorFields['reason'], message: string, cause?: unknown): KubernetesError {
  return new KubernetesError({ status: 0, reason, message, cause })
}

function fromTransport(error: unknown, request: string, server: URL): unknown {
  if (error instanceof ListenerFailure) return error.error
  const { message = String(error) } = error as Error
  return failure('Unreachable', `${request}: ${server.host}: ${message || String(error)}`, error)
}

/** `work`, or the reason of the signal, whichever comes first. */
function unlessEnded<T>(work: Promise<T>, ended: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const onEnded = () => reject(ended.reason)
  if (ended.aborted) onEnded()
  ended.addEventListener('abort', onEnded, { once: true })
  work.then(resolve, reject).finally(() => ended.removeEventListener('abort', onEnded))
  return promise
}
