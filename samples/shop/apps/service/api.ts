import express, { type ErrorRequestHandler, type Express } from 'express'
import type { Logger } from './log.ts'

/** A refusal that the caller is told about, as `application/problem+json` (RFC 9457). */
export class Refusal extends Error {
  readonly status: number
  /** Response headers that go with it, such as Retry-After. */
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'Refusal'
    this.status = status
    this.headers = headers
  }
}

/**
 * A JSON API with what each one needs: bodies of at most 64 KiB, `/healthz`, and errors as problem documents.
 *
 * `routes` adds the API's own routes.
 */
export function createApi(log: Logger, routes: (app: Express) => void): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.get('/healthz', (_req, res) => void res.json({ status: 'ok' }))
  app.use(express.json({ limit: '64kb' }))
  routes(app)
  app.use(() => {
    throw new Refusal(404, 'not found')
  })
  app.use(problem(log))
  return app
}

function problem(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) return next(error)
    const { status, title, headers } = describe(error)
    if (status >= 500) log.error({ err: error, method: req.method, path: req.path }, 'request failed')
    res.set(headers)
    res
      .status(status)
      .type('application/problem+json')
      .send(JSON.stringify({ type: 'about:blank', status, title }))
  }
}

function describe(error: unknown): { status: number; title: string; headers: Readonly<Record<string, string>> } {
  if (error instanceof Refusal) return { status: error.status, title: error.message, headers: error.headers }
  // What express itself refuses (a body that is no JSON, or too long) carries a status below 500.
  const status = (error as { status?: unknown }).status
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, title: 'the request cannot be read', headers: {} }
  }
  return { status: 500, title: 'internal error', headers: {} }
}
