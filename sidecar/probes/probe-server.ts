import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import {
  type AppProbe,
  DRAIN_PATH,
  isHook,
  LIVE_PATH,
  PROBE_KEY_HEADER,
  probePath,
  READY_PATH,
} from '../../contract/pod.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Health, HealthReport } from '../../runtime/health.ts'
import type { Log } from '../../runtime/log.ts'
import { performProbe } from './perform.ts'

export interface ProbeServerOptions {
  /** 0 for any free port. On all addresses: the kubelet comes from the node's. */
  readonly port: number
  /** Default all addresses. */
  readonly host?: string
  readonly probes: readonly AppProbe[]
  /** Without one there are neither probes nor the drain hook. */
  readonly probeKey?: string
  /** The pod's first address, which the kubelet would probe. */
  readonly podIp: string
  readonly health: Health
  /** The pod is being deleted. Called once. */
  onDrain(): void
  readonly clock: Clock
  readonly log: Log
}

export interface ProbeServer {
  readonly port: number
  /** Stops listening and cuts what is open. */
  close(): Promise<void>
}

/** Connections at once. Beyond, those that have been the longest without a request go: strangers, not the kubelet. */
export const MAX_CONNECTIONS = 256
/** Probes of the app at once. */
export const MAX_PROBES = 64
/** Milliseconds from a connection to the whole head of its request. */
const HEAD_MS = 2_000
const MAX_HEADER_BYTES = 8_192

/**
 * What the kubelet talks to instead of the app, in plain HTTP: the app's own ports take mutual TLS only, and a kubelet has
 * no certificate of the mesh.
 *
 * Serves exactly the probes and hooks that the pod's author wrote, to whoever has the key; else 404. A probe goes where
 * the pod says and nowhere that a request could name, so this is no way past the app's policy (T10, T32). The sidecar's own
 * readiness needs no key. Rejects when the port is taken.
 */
export function startProbeServer(options: ProbeServerOptions): Promise<ProbeServer> {
  const { port, host, clock, log } = options
  const answer = createHandler(options)
  const waiting = new Map<Socket, () => void>()

  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 1 }, (request, response) => {
    waiting.get(request.socket)?.()
    answer(request, response).catch((err: unknown) => {
      log.error('a probe failed in the sidecar', { err })
      response.destroy()
    })
  })
  server.on('connection', (socket) => {
    if (waiting.size >= MAX_CONNECTIONS) waiting.keys().next().value?.destroy()
    const destroyIfWaiting = () => {
      if (waiting.has(socket)) socket.destroy()
    }
    // What came while this process was busy with something else is read first: it is not the kubelet's fault.
    const cancel = clock.setTimer(HEAD_MS, () => setImmediate(destroyIfWaiting), { keepAlive: false })
    const done = () => {
      cancel()
      waiting.delete(socket)
    }
    waiting.set(socket, done)
    socket.once('close', done)
  })
  server.on('clientError', (_error, socket) => socket.destroy())

  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new Error(`cannot listen on the probe port ${port}`, { cause })))
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.on('error', (err) => log.error('probe server failed', { err }))
      resolve({
        port: (server.address() as AddressInfo).port,
        close() {
          return new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          })
        },
      })
    })
  })
}

function createHandler({ probes, probeKey, podIp, health, onDrain, clock }: ProbeServerOptions) {
  const byPath = new Map(probes.map((probe) => [probePath(probe.container, probe.kind), probe]))
  const expected = probeKey === undefined ? undefined : digest(probeKey)
  let underWay = 0
  let isDraining = false

  const hasKey = (request: IncomingMessage): boolean => {
    const given = request.headers[PROBE_KEY_HEADER]
    return expected !== undefined && typeof given === 'string' && timingSafeEqual(digest(given), expected)
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method, url: path = '' } = request
    if (method !== 'GET') return send(response, 404, 'not found')
    if (path === READY_PATH) return send(response, ...told(health.ready()))
    if (path === LIVE_PATH) return send(response, ...told(health.live()))
    if (!hasKey(request)) return send(response, 404, 'not found')
    if (path === DRAIN_PATH) {
      if (!isDraining) onDrain()
      isDraining = true
      return send(response, 200, 'draining')
    }
    const probe = byPath.get(path)
    if (probe === undefined) return send(response, 404, 'not found')
    if (underWay >= MAX_PROBES) return send(response, 503, 'too many probes at once')

    const gone = new AbortController()
    response.once('close', () => gone.abort(new Error('the kubelet is gone')))
    underWay += 1
    try {
      const target = { host: podIp, userAgent: userAgentOf(request), signal: gone.signal }
      const outcome = await performProbe(probe, target, clock)
      switch (outcome.outcome) {
        case 'passed':
          return send(response, 200, 'ok')
        case 'failed':
          // A hook that was answered was run, whatever the answer.
          return isHook(probe.kind)
            ? send(response, 200, outcome.reason)
            : send(response, outcome.status, outcome.reason)
        case 'unanswered':
          // The kubelet takes any answer for a hook that was run.
          if (isHook(probe.kind)) return void response.destroy()
          return send(response, 503, outcome.reason)
      }
    } finally {
      underWay -= 1
    }
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

/** `kube-probe/1.35`: passed on, so that the app's log says what it said. */
function userAgentOf(request: IncomingMessage): string {
  const given = request.headers['user-agent'] ?? ''
  return /^kube-(?:probe|lifecycle)\/[\w.+-]{1,32}$/.test(given) ? given : 'kube-probe/hauberk'
}

function told({ ok, conditions }: HealthReport): readonly [number, string] {
  const failing = conditions.filter((condition) => !condition.ok)
  return ok ? [200, 'ok'] : [503, failing.map(({ name, reason }) => `${name}: ${reason}`).join('; ')]
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    connection: 'close',
  })
  response.end(`${text}\n`)
}
