import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Health } from '../../runtime/health.ts'
import type { Log } from '../../runtime/log.ts'

/** Answers the kubelet. */
export interface ProbeServer {
  readonly port: number
  close(): Promise<void>
}

export interface ProbeServerOptions {
  /** Default: every address. */
  readonly host?: string
  /** 0 for any free port. */
  readonly port: number
  readonly health: Health
  readonly log: Log
}

/** Connections at once. The kubelet has one at a time. */
const MAX_CONNECTIONS = 32
const REQUEST_MS = 5_000

/**
 * `GET /livez` and `GET /readyz`, over plain HTTP on the pod's address, for the kubelet has no certificate: 200 or 503, and
 * the names of the conditions with why they fail. Nothing else is told here. Rejects when the port is taken.
 */
export function startProbeServer({ host, port, health, log }: ProbeServerOptions): Promise<ProbeServer> {
  const limits = { maxHeaderSize: 4_096, headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS }
  const server = createServer(limits, (request, response) => {
    const report = request.url === '/livez' ? health.live() : request.url === '/readyz' ? health.ready() : undefined
    response.setHeader('connection', 'close')
    if (report === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n')
      return
    }
    const body = report.conditions.map(({ name, ok, reason }) => `${name}: ${ok ? 'ok' : reason}\n`).join('')
    response.writeHead(report.ok ? 200 : 503, { 'content-type': 'text/plain' }).end(body)
  })
  server.maxConnections = MAX_CONNECTIONS
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...(host !== undefined && { host }), port }, () => {
      server.off('error', reject)
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
