import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { parse as parseCookies } from 'cookie'
import express, {
  type CookieOptions,
  type ErrorRequestHandler,
  type Express,
  type Request,
  type Response,
} from 'express'
import { Refusal } from '../service/api.ts'
import type { Html } from '../service/html.ts'
import type { Logger } from '../service/log.ts'
import type { Caller } from '../service/peer.ts'
import { type Running, serve } from '../service/serve.ts'
import { FAVICON } from './art.ts'
import { AuthClient, LoginOver, type PendingLogin } from './auth-client.ts'
import type { StorefrontOptions } from './options.ts'
import { catalogPage, ordersPage, problemPage, productPage } from './pages.ts'
import { Remembered } from './remembered.ts'
import { Session } from './session.ts'
import { ShopApi } from './shop-api.ts'

/** Sessions at once, and logins that were begun. Anybody can begin a login, so these have a bound of their own. */
const MAX_SESSIONS = 10_000
const MAX_PENDING = 10_000

const MINUTE_MS = 60_000
const SESSION_LIFETIMES = { idleMs: 30 * MINUTE_MS, totalMs: 8 * 60 * MINUTE_MS }
const PENDING_LIFETIMES = { idleMs: 10 * MINUTE_MS, totalMs: 10 * MINUTE_MS }

/** `__Host-`: the browser takes it over TLS only, for this host only (RFC 6265bis). The values are random names. */
const SESSION_COOKIE = '__Host-shop'
const PENDING_COOKIE = '__Host-shop-login'
const COOKIE: CookieOptions = { httpOnly: true, secure: true, sameSite: 'lax', path: '/' }

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** The web page of the shop. */
export async function startStorefront(options: StorefrontOptions, log: Logger): Promise<Running> {
  const clientSecret = (await readFile(options.clientSecretFile, 'utf8')).trim()
  const stylesheet = await readFile(new URL('style.css', import.meta.url), 'utf8')
  const auth = new AuthClient({ ...options, clientSecret })
  const api = new ShopApi(options.catalogUrl, options.ordersUrl)
  return serve(createStorefront(auth, api, stylesheet, log), options)
}

function createStorefront(auth: AuthClient, api: ShopApi, stylesheet: string, log: Logger): Express {
  const sessions = new Remembered<Session>(SESSION_LIFETIMES, MAX_SESSIONS)
  const pendings = new Remembered<PendingLogin>(PENDING_LIFETIMES, MAX_PENDING)
  const sessionOf = (req: Request) => sessions.find(cookieOf(req, SESSION_COOKIE))

  const endSession = (req: Request, res: Response) => {
    sessions.take(cookieOf(req, SESSION_COOKIE))
    res.clearCookie(SESSION_COOKIE, COOKIE)
  }

  /** Runs a call on the person's behalf; once more with a new token if the first was refused. */
  const asUser = async <T>(req: Request, session: Session, call: (caller: Caller) => Promise<T>): Promise<T> => {
    const token = await session.accessToken()
    try {
      return await call(onBehalf(req, token))
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error
      return call(onBehalf(req, await session.accessToken(token)))
    }
  }

  const app = express()
  app.disable('x-powered-by')
  app.get('/healthz', (_req, res) => void res.json({ status: 'ok' }))
  app.use((_req, res, next) => {
    res.set(HEADERS)
    next()
  })
  app.get('/style.css', (_req, res) => void res.type('css').set('cache-control', 'no-cache').send(stylesheet))
  app.get('/favicon.svg', (_req, res) => void res.type('svg').set('cache-control', 'max-age=3600').send(FAVICON))

  app.get('/', async (req, res) => {
    const products = await api.products(onBehalf(req))
    sendPage(res, 200, catalogPage(products, sessionOf(req)))
  })

  app.get('/products/:id', async (req, res) => {
    const product = await api.product(req.params.id, onBehalf(req))
    if (!product) throw new Refusal(404, 'The shop has no such thing.')
    sendPage(res, 200, productPage(product, sessionOf(req), randomUUID()))
  })

  app.get('/login', (req, res) => {
    const { location, pending } = auth.begin(`${originOf(req)}/callback`, pageToReturnTo(req.query.return))
    res.cookie(PENDING_COOKIE, pendings.add(pending), { ...COOKIE, maxAge: PENDING_LIFETIMES.totalMs })
    res.redirect(303, location)
  })

  app.get('/callback', async (req, res) => {
    const pending = pendings.take(cookieOf(req, PENDING_COOKIE))
    res.clearCookie(PENDING_COOKIE, COOKIE)
    if (!pending) throw new LoginOver('this browser began no login')
    const { user, tokens } = await auth.finish(pending, new URL(req.originalUrl, 'http://here').searchParams)
    // A new name for the session: one that somebody else may have put into this browser is worth nothing.
    sessions.take(cookieOf(req, SESSION_COOKIE))
    res.cookie(SESSION_COOKIE, sessions.add(new Session(user, tokens, auth)), COOKIE)
    log.info({ user: { name: user } }, 'login')
    res.redirect(303, pending.returnTo)
  })

  app.get('/orders', async (req, res) => {
    const session = sessionOf(req)
    if (!session) return res.redirect(303, '/login?return=/orders')
    const orders = await asUser(req, session, (caller) => api.orders(session.user, caller))
    const placed = typeof req.query.placed === 'string' ? req.query.placed : undefined
    return sendPage(res, 200, ordersPage(orders, session, placed))
  })

  app.post('/orders', express.urlencoded({ extended: false, limit: '8kb' }), async (req, res) => {
    const session = sessionOf(req)
    if (!session) return res.redirect(303, '/login?return=/orders')
    const form = readForm(req, session)
    const wish = {
      items: [{ productId: form.productId, quantity: Number(form.quantity) }],
      shippingAddress: form.shippingAddress,
      cardNumber: form.cardNumber,
    }
    const order = await asUser(req, session, (caller) =>
      api.placeOrder(session.user, wish, form.attempt ?? randomUUID(), caller),
    )
    log.info({ user: { name: session.user }, order: order.id }, 'order placed')
    return res.redirect(303, `/orders?placed=${encodeURIComponent(order.id)}`)
  })

  app.post('/logout', express.urlencoded({ extended: false, limit: '1kb' }), async (req, res) => {
    const session = sessionOf(req)
    if (session) {
      readForm(req, session)
      endSession(req, res)
      await session.end().catch((error: unknown) => log.warn({ err: error }, 'the login was not ended at auth'))
      log.info({ user: { name: session.user } }, 'logout')
    }
    res.redirect(303, '/')
  })

  app.use(() => {
    throw new Refusal(404, 'There is no such page.')
  })

  const failed: ErrorRequestHandler = (error: unknown, req, res, next) => {
    if (res.headersSent) return next(error)
    const viewer = sessionOf(req)
    if (error instanceof LoginOver) {
      log.warn({ reason: error.message }, 'login over')
      endSession(req, res)
      if (req.method === 'GET' && req.path !== '/callback') return res.redirect(303, `/login?return=${req.path}`)
      const text = 'The login was cancelled, or took too long.'
      return sendPage(res, 400, problemPage('You are not signed in', text, undefined))
    }
    if (error instanceof Refusal) {
      const retryAfter = error.headers['retry-after']
      if (error.status >= 500) log.error({ err: error, path: req.path }, 'request failed')
      res.set(error.headers)
      return sendPage(res, error.status, problemPage(titleOf(error.status), textOf(error, retryAfter), viewer))
    }
    const { status } = error as { status?: unknown }
    const isClients = typeof status === 'number' && status >= 400 && status < 500
    if (!isClients) log.error({ err: error, path: req.path }, 'request failed')
    return sendPage(res, isClients ? status : 500, problemPage(titleOf(500), 'Please try again.', viewer))
  }
  app.use(failed)
  return app
}

function sendPage(res: Response, status: number, { markup }: Html): void {
  res.status(status).type('html').set('cache-control', 'no-store').send(markup)
}

function cookieOf(req: Request, name: string): string | undefined {
  return parseCookies(req.get('cookie') ?? '')[name]
}

/** As the browser sees it: the gateway writes X-Forwarded-Proto anew and leaves Host alone. */
function originOf(req: Request): string {
  const host = req.get('x-forwarded-host') ?? req.get('host') ?? ''
  return `${req.get('x-forwarded-proto') ?? 'https'}://${host}`
}

/** Nothing of what the browser sends but the trace: whom the call is for says our own token, or nothing does. */
function onBehalf({ headers }: Request, token?: string): Caller {
  const { traceparent, tracestate, 'x-request-id': id } = headers
  const authorization = token === undefined ? undefined : `Bearer ${token}`
  return { traceparent, tracestate, 'x-request-id': id, authorization }
}

/** Only pages of ours: never a place that somebody put into a link. */
function pageToReturnTo(value: unknown): string {
  return typeof value === 'string' && /^\/(orders|products\/[a-z0-9-]{1,40})?$/.test(value) ? value : '/'
}

/** The fields of a form that one of our own pages sent for this session. */
function readForm(req: Request, session: Session): Record<string, string | undefined> {
  const site = req.get('sec-fetch-site')
  const form = (req.body ?? {}) as Record<string, string | undefined>
  if ((site !== undefined && site !== 'same-origin') || !session.isCsrfToken(form.csrf)) {
    throw new Refusal(403, 'The form was not sent by a page of this shop, or is too old.')
  }
  return form
}

function titleOf(status: number): string {
  if (status === 404) return 'Not here'
  if (status === 402) return 'The card was declined'
  if (status === 422) return 'That cannot be ordered'
  if (status === 429) return 'One at a time, please'
  if (status === 401 || status === 403) return 'Not for you'
  return 'Something is broken'
}

function textOf({ status, message }: Refusal, retryAfter: string | undefined): string {
  if (status === 429) return `That was too fast. Try again in ${retryAfter ?? 'a few'} s.`
  if (status === 402) return 'Nothing was charged. Try another card.'
  if (status >= 500) return 'A service behind this page does not answer. Please try again.'
  return message
}
