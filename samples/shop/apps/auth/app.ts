import { readFile } from 'node:fs/promises'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import type Provider from 'oidc-provider'
import { type KeySet, parseKeySet } from '../service/key-set.ts'
import type { Logger } from '../service/log.ts'
import { type Running, serve } from '../service/serve.ts'
import { watchFile } from '../service/watched-file.ts'
import { LoginAttempts } from './attempts.ts'
import { readClients } from './clients.ts'
import { createLogin } from './login.ts'
import { type AuthMetrics, createMetrics } from './metrics.ts'
import type { AuthOptions } from './options.ts'
import { renderErrorPage } from './pages.ts'
import { createProvider } from './provider.ts'
import { createStore } from './store.ts'
import { parseUsers, type Users } from './users.ts'

/**
 * The shop's authorization server.
 *
 * What a browser uses is under `basePath`; the same endpoints answer without it for the back channel. Signing keys are
 * read again when their file changes; all else needs a restart.
 */
export async function startAuth(options: AuthOptions, log: Logger): Promise<Running> {
  const { basePath } = options
  const clients = await readClients(options.clientSecretsDir, options.publicHostnames)
  const users = parseUsers(await readFile(options.usersFile, 'utf8'))
  const cookieKey = (await readFile(options.cookieKeyFile, 'utf8')).trim()
  const stylesheet = await readFile(new URL('style.css', import.meta.url), 'utf8')
  checkSubjects(
    users,
    clients.map(({ client_id }) => client_id),
  )

  const metrics = createMetrics()
  const store = createStore()
  const provide = (keys: KeySet): Provider => {
    const provider = createProvider({ ...options, clients, cookieKey, store, isUser: (name) => users.has(name) }, keys)
    observe(provider, metrics, log)
    return provider
  }
  const keysFile = await watchFile(options.signingKeysFile, parseKeySet, {
    changed(keys) {
      provider = provide(keys)
      log.info({ active: keys.active, published: keys.keys.map(({ kid }) => kid) }, 'signing keys changed')
    },
    failed: (error) => log.error({ err: error }, 'signing keys cannot be read, the last good ones stay'),
  })
  let provider = provide(keysFile.current())

  const app = express()
  app.disable('x-powered-by')
  app.get('/healthz', (_req, res) => void res.json({ status: 'ok' }))
  app.get('/metrics', async (_req, res) => {
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })
  app.get(
    `${basePath}/style.css`,
    (_req, res) => void res.type('css').set('cache-control', 'no-cache').send(stylesheet),
  )
  app.use(
    basePath,
    createLogin({ basePath, users, attempts: new LoginAttempts(), metrics, log, provider: () => provider }),
  )
  const answer: RequestHandler = (req, res) => provider.callback()(req, res)
  app.use(basePath, answer)
  app.use(answer)
  app.use(failed(basePath, log))

  const running = await serve(app, options)
  return {
    url: running.url,
    async stop() {
      keysFile.stop()
      await running.stop()
    },
  }
}

/** A person and a machine must not share a name: `sub` would mean either (RFC 9068, 5). */
function checkSubjects(users: Users, clients: readonly string[]): void {
  const both = clients.find((client) => users.has(client))
  if (both) throw new Error(`${both} is a user and a client`)
}

/** The provider's own events: one log line and one count for each. */
function observe(provider: Provider, metrics: AuthMetrics, log: Logger): void {
  provider.on('grant.success', ({ oidc }) => {
    const grant = String(oidc.params?.grant_type)
    const client = oidc.client?.clientId ?? 'unknown'
    metrics.tokenIssued(grant, client)
    log.info({ grant, client, user: { name: oidc.entities.Account?.accountId } }, 'token issued')
  })
  provider.on('grant.error', ({ oidc }, error) => {
    metrics.tokenRefused(error.error)
    const reason = 'error_detail' in error ? error.error_detail : undefined
    log.warn({ error: error.error, reason, client: oidc.client?.clientId }, 'token refused')
  })
  provider.on('grant.revoked', ({ oidc }, grantId) => {
    // By its client: a logout. By the token endpoint: something was used twice.
    const level = oidc.route === 'revocation' ? 'info' : 'warn'
    log[level]({ grant: grantId, client: oidc.client?.clientId, at: oidc.route }, 'grant revoked')
  })
  provider.on('authorization.error', ({ oidc }, error) => {
    log.warn({ error: error.error, client: oidc.client?.clientId }, 'authorization refused')
  })
  provider.on('server_error', (_ctx, error) => log.error({ err: error }, 'request failed'))
}

function failed(basePath: string, log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) return next(error)
    const status = (error as { status?: unknown }).status
    if (typeof status === 'number' && status < 500) {
      return renderErrorPage(res, basePath, status, 'invalid_request', undefined)
    }
    log.error({ err: error, method: req.method, path: req.path }, 'request failed')
    renderErrorPage(res, basePath, 500, 'server_error', undefined)
  }
}
