import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Health, HealthReport } from './health.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

/** A request that was let through to a route. */
export interface AdminRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** Aborts when the client is gone or the server closes. */
  readonly signal: AbortSignal
  /** The whole body, at most 1 MiB; more rejects, and the client is answered 413. */
  body(): Promise<Buffer>
}

/** What a route answers. */
export interface AdminResponse {
  /** Default 200. */
  readonly status?: number
  /** Default `application/json`. */
  readonly contentType?: string
  /** Sent whole, or piece by piece as it comes: an endless stream ends with the request's signal. */
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array>
}

/** Something a process tells or does for whoever holds its admin token. */
export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Exact: `/config`. */
  readonly path: string
  handle(request: AdminRequest): AdminResponse | Promise<AdminResponse>
}

/** What an admin server needs. */
export interface AdminServerOptions {
  /** A loopback address. Default `127.0.0.1`. Any other throws: nothing here is for the network. */
  readonly host?: '127.0.0.1' | '::1'
  /** 0 for any free port. */
  readonly port: number
  /** The bearer token for everything but health and metrics: at least 16 characters, random. */
  readonly token: string
  readonly metrics: Metrics
  readonly health: Health
  readonly routes?: readonly AdminRoute[]
  readonly log: Log
}

/** A listening admin server. */
export interface AdminServer {
  readonly port: number
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string
  /** Stops listening and cuts what is open. */
  close(): Promise<void>
}

/**
 * Serves `/metrics`, `/healthz`, `/readyz` to whoever asks on this machine, and the given routes to whoever holds the
 * token.
 *
 * Against a web page in the developer's browser (T32): the Host header must name loopback, else 421 (DNS rebinding); a
 * foreign Origin is 403; answers are never sniffed, framed or cached. Rejects when the port is taken.
 */
export function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { host = '127.0.0.1', port, token, log } = options
  if (!LOOPBACK_ADDRESSES.has(host)) throw new Error(`the admin server does not listen on ${host}`)
  if (token.length < MIN_TOKEN_LENGTH) throw new Error('the admin token is too short')
  const closing = new AbortController()
  const handle = createHandler(options, closing.signal)

  const server = createServer(
    { maxHeaderSize: 8_192, headersTimeout: 5_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      handle(request, response).catch((err: unknown) => {
        log.error('admin request failed', { err, 'url.path': pathOf(request) })
        if (response.headersSent) response.destroy()
        else send(response, { status: 500, body: problem('internal error') })
      })
    },
  )
  server.maxConnections = MAX_CONNECTIONS

  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      server.on('error', (err) => log.error('admin server failed', { err }))
      const bound = (server.address() as AddressInfo).port
      resolve({
        port: bound,
        url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
        close() {
          closing.abort(new Error('the admin server is closing'))
          return new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          })
        },
      })
    })
  })
}

const LOOPBACK_ADDRESSES: ReadonlySet<string> = new Set(['127.0.0.1', '::1'])
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost'])
const MIN_TOKEN_LENGTH = 16
const MAX_BODY_BYTES = 1_048_576
const MAX_CONNECTIONS = 64

function createHandler({ metrics, health, routes = [], token }: AdminServerOptions, closing: AbortSignal) {
  const expected = digest(token)
  const paths = new Set(routes.map((route) => route.path))

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!isLoopbackAuthority(request.headers.host))
      return send(response, { status: 421, body: problem('unknown host') })
    if (!isOwnOrigin(request.headers.origin)) return send(response, { status: 403, body: problem('foreign origin') })

    const path = pathOf(request)
    const method = request.method ?? ''
    if (method === 'GET' || method === 'HEAD') {
      if (path === '/metrics') return send(response, { contentType: metrics.contentType, body: await metrics.text() })
      if (path === '/healthz') return send(response, healthResponse(health.live()))
      if (path === '/readyz') return send(response, healthResponse(health.ready()))
    }

    if (!hasToken(request.headers.authorization, expected)) {
      response.setHeader('www-authenticate', 'Bearer')
      return send(response, { status: 401, body: problem('the admin token is needed') })
    }
    const route = routes.find((one) => one.path === path && one.method === method)
    if (!route) {
      return send(response, paths.has(path) ? { status: 405, body: problem('method not allowed') } : NOT_FOUND)
    }
    const gone = new AbortController()
    response.once('close', () => gone.abort(new Error('the client is gone')))
    const signal = AbortSignal.any([gone.signal, closing])
    try {
      await send(
        response,
        await route.handle({
          method,
          path,
          query: new URLSearchParams(request.url?.slice(path.length) ?? ''),
          signal,
          body: () => readBody(request),
        }),
        signal,
      )
    } catch (err) {
      if (err instanceof BodyTooLarge) return send(response, { status: 413, body: problem('body too large') })
      if (!signal.aborted) throw err
    }
  }
}

const NOT_FOUND: AdminResponse = { status: 404, body: JSON.stringify({ error: 'not found' }) }

function problem(error: string): string {
  return JSON.stringify({ error })
}

function healthResponse(report: HealthReport): AdminResponse {
  return { status: report.ok ? 200 : 503, body: JSON.stringify(report) }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? ''
}

/** `localhost:15000`, `127.0.0.1`, `[::1]:1`: an address that only this machine can mean. */
function isLoopbackAuthority(authority: string | undefined): boolean {
  return authority !== undefined && LOOPBACK_NAMES.has(authority.toLowerCase().replace(/:\d{1,5}$/, ''))
}

function isOwnOrigin(origin: string | undefined): boolean {
  return origin === undefined || (origin.startsWith('http://') && isLoopbackAuthority(origin.slice('http://'.length)))
}

/** Digests have one length, so that the comparison says nothing about the token's. */
function hasToken(header: string | undefined, expected: Buffer): boolean {
  const given = /^Bearer ([^ ]+)$/i.exec(header ?? '')?.[1]
  return given !== undefined && timingSafeEqual(digest(given), expected)
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

class BodyTooLarge extends Error {}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new BodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, bytes)
}

async function send(response: ServerResponse, answer: AdminResponse, signal?: AbortSignal): Promise<void> {
  const { status = 200, contentType = 'application/json', body = '' } = answer
  response.writeHead(status, {
    'content-type': contentType,
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    ...(status >= 400 ? { connection: 'close' } : {}),
  })
  if (typeof body === 'string' || body instanceof Uint8Array) {
    response.end(body)
    return
  }
  response.flushHeaders()
  for await (const piece of body) {
    if (signal?.aborted) break
    if (!response.write(piece)) await drained(response, signal)
  }
  response.end()
}

function drained(response: ServerResponse, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    response.once('drain', done)
    signal?.addEventListener('abort', done, { once: true })
  })
}
