import { constants } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import express, { type ErrorRequestHandler, type RequestHandler, type Response } from 'express'
import type { HostnamePattern } from '../../model/hostname.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Authority } from '../identity/authority.ts'
import {
  type AdmissionAnswer,
  type AdmissionHandler,
  type AdmissionRequest,
  readReview,
  reviewReply,
} from './admission-review.ts'
import { type ClientCertificates, isNamedClient } from './client-certificates.ts'
import type { AdmissionMetrics } from './metrics.ts'
import { createPathReader, type Webhook } from './secret-path.ts'
import { issueServingCertificate, keepServingCertificate } from './serving-certificate.ts'
import { limitStrangers } from './strangers.ts'

/** The HTTPS server that the API server asks. */
export interface AdmissionServer {
  readonly port: number
  /**
   * Answers what comes, and keeps no connection for more: the API server opens the next one by way of the Service, to an
   * operator that stays. Or for as long as it kept one it would go on to inject what an operator that goes was told to.
   */
  retire(): void
  /** Takes no new connections, lets questions in flight be answered, and ends. */
  close(): Promise<void>
}

export interface AdmissionServerOptions {
  /** Default: every address of the pod. */
  readonly host?: string
  /** 0 for any free port. */
  readonly port: number
  readonly authority: Pick<Authority, 'issue' | 'onChange'>
  /** What the certificate is for: the Service that the webhook configurations name. */
  readonly dnsNames: readonly HostnamePattern[]
  /** Of the paths. */
  readonly secret: string
  /** Demanded of every client where they are given. */
  readonly clientCertificates?: ClientCertificates
  readonly handlers: Readonly<Record<Webhook, AdmissionHandler>>
  /** Told of what was answered about a policy, where something may come of it. */
  readonly onPolicyReview?: (request: AdmissionRequest, answer: AdmissionAnswer) => void
  readonly clock: Clock
  readonly log: Log
  readonly metrics: AdmissionMetrics
}

/** Bytes of one question at most: what etcd takes, twice (an object and what it was), in JSON. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024
/** Bytes of all questions that are being read or answered. */
export const MAX_BYTES_AT_ONCE = 48 * 1024 * 1024
/** A question that has not been read and answered by then is given up, in milliseconds. */
export const MAX_REQUEST_MS = 2_000
/** Connections at once, and those among them that have not shown the secret yet. */
export const MAX_CONNECTIONS = 512
const MAX_STRANGERS = 256
const HANDSHAKE_MS = 5_000

/**
 * Serves the webhooks. Whoever does not know the secret of the paths is answered 404 before a byte of the body is read, and
 * learns nothing else (T28). Rejects when the port is taken.
 */
export async function startAdmissionServer(options: AdmissionServerOptions): Promise<AdmissionServer> {
  const { host, port, authority, dnsNames, clientCertificates, clock, log } = options
  const ended = new AbortController()
  const stay = { isOver: false }
  const first = await issueServingCertificate(authority, dnsNames)
  const context = (): TlsOptions => ({
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(clientCertificates && { ca: clientCertificates.authorities }),
  })
  const server = createServer(
    {
      ...context(),
      key: first.privateKey,
      cert: first.chain,
      requestCert: clientCertificates !== undefined,
      rejectUnauthorized: clientCertificates !== undefined,
      sessionTimeout: 1,
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: HANDSHAKE_MS,
      maxHeaderSize: 8_192,
      headersTimeout: MAX_REQUEST_MS,
      // The API server keeps its connections; a shorter time than its own would now and then cut one that it just took.
      keepAliveTimeout: 120_000,
    },
    createApp(options, (socket) => strangers.know(socket), stay),
  )
  server.maxConnections = MAX_CONNECTIONS
  const strangers = limitStrangers(server, MAX_STRANGERS)
  server.on('tlsClientError', (err) => log.debug('TLS handshake failed', { err }))

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...(host !== undefined && { host }), port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  server.on('error', (err) => log.error('webhook server failed', { err }))
  const renewing = keepServingCertificate(server, {
    authority,
    dnsNames,
    first,
    context,
    clock,
    log,
    signal: ended.signal,
  })
  return {
    port: (server.address() as AddressInfo).port,
    retire() {
      stay.isOver = true
      server.closeIdleConnections()
    },
    async close() {
      ended.abort(new Error('the webhook server ends'))
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      // Answers take milliseconds: what is still open after that is nobody's question.
      const cancel = clock.setTimer(MAX_REQUEST_MS, () => {
        server.closeAllConnections()
        strangers.end()
      })
      await Promise.all([closed, renewing])
      cancel()
    },
  }
}

function createApp(
  { secret, clientCertificates, handlers, onPolicyReview, clock, log, metrics }: AdmissionServerOptions,
  onKnown: (socket: Socket) => void,
  stay: { readonly isOver: boolean },
) {
  const readPath = createPathReader(secret)
  let bytesAtOnce = 0

  const reject = (response: Response, status: number, reason: string) => {
    metrics.rejected.handle({ reason }).add()
    if (response.headersSent) response.destroy()
    else
      response
        .status(status)
        .set({ connection: 'close', ...HEADERS })
        .end()
  }

  const onlyKnown: RequestHandler = (request, response, next) => {
    if (clientCertificates && !isNamedClient(request.socket as TLSSocket, clientCertificates)) {
      reject(response, 403, 'client')
      return
    }
    const webhook = request.method === 'POST' ? readPath(request.path) : undefined
    if (webhook === undefined) reject(response, 404, 'path')
    else {
      onKnown(request.socket)
      response.locals['webhook'] = webhook
      response.locals['startedAt'] = clock.monotonic()
      next()
    }
  }

  const untilOver: RequestHandler = (_request, response, next) => {
    if (stay.isOver) response.set('connection', 'close')
    next()
  }

  const inTime: RequestHandler = (_request, response, next) => {
    const cancel = clock.setTimer(MAX_REQUEST_MS, () => {
      metrics.rejected.handle({ reason: 'slow' }).add()
      response.destroy()
    })
    response.once('close', cancel)
    next()
  }

  const withinBudget: RequestHandler = (request, response, next) => {
    const bytes = announcedBytes(request)
    if (bytes > MAX_BODY_BYTES) return reject(response, 413, 'size')
    if (bytesAtOnce + bytes > MAX_BYTES_AT_ONCE) return reject(response, 503, 'busy')
    bytesAtOnce += bytes
    response.once('close', () => {
      bytesAtOnce -= bytes
    })
    next()
  }

  const answer: RequestHandler = (request, response) => {
    const { webhook, startedAt } = response.locals as { readonly webhook: Webhook; readonly startedAt: number }
    const review = readReview(bodyOf(request))
    if (!review.ok) return reject(response, 400, 'malformed')
    let answered: AdmissionAnswer
    try {
      answered = handlers[webhook](review.value)
    } catch (err) {
      // The API server refuses what it gets no answer for.
      metrics.reviews.handle({ webhook, outcome: 'failed' }).add()
      log.error('admission failed', { err, 'hauberk.webhook': webhook, ...subjectOf(review.value) })
      response.status(500).set(HEADERS).end()
      return
    }
    metrics.reviews.handle({ webhook, outcome: answered.allowed ? 'allowed' : 'refused' }).add()
    metrics.seconds.handle({ webhook }).observe((clock.monotonic() - startedAt) / 1_000)
    if (webhook === 'policies' && !review.value.isDryRun) onPolicyReview?.(review.value, answered)
    if (!answered.allowed) {
      log.info('refused at admission', {
        'hauberk.webhook': webhook,
        'hauberk.issues': answered.issues.map(({ code, path }) => `${code} ${path}`).slice(0, 16),
        ...subjectOf(review.value),
      })
    }
    response
      .status(200)
      .set({ ...HEADERS, 'content-type': 'application/json' })
      .end(reviewReply(review.value, answered))
  }

  const failed: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
    const { status } = (error ?? {}) as { readonly status?: unknown }
    if (status === 413) reject(response, 413, 'size')
    else reject(response, typeof status === 'number' && status < 500 ? status : 400, 'malformed')
  }

  return express()
    .disable('x-powered-by')
    .disable('etag')
    .use(onlyKnown, untilOver, inTime, withinBudget)
    .use(express.raw({ type: () => true, limit: MAX_BODY_BYTES, inflate: false }))
    .use(answer, failed)
}

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const

/** What a request may come to: what it says, or as much as is taken where it does not say. */
function announcedBytes({ headers }: IncomingMessage): number {
  const length = Number(headers['content-length'])
  return Number.isSafeInteger(length) && length >= 0 ? length : MAX_BODY_BYTES
}

function bodyOf({ body }: { readonly body?: unknown }): string {
  return Buffer.isBuffer(body) ? body.toString('utf8') : ''
}

function subjectOf({ kind, namespace, name, operation, subResource }: AdmissionRequest) {
  return {
    'orchestrator.resource.type': kind.kind + (subResource === '' ? '' : `/${subResource}`),
    'orchestrator.namespace': namespace,
    'orchestrator.resource.name': name,
    'event.action': operation,
  }
}
