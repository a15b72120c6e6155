import express, { type Request, type Response, type Router } from 'express'
import type Provider from 'oidc-provider'
import { errors } from 'oidc-provider'
import type { Logger } from '../service/log.ts'
import type { LoginAttempts } from './attempts.ts'
import type { AuthMetrics } from './metrics.ts'
import { type LoginPage, renderErrorPage, renderLoginPage } from './pages.ts'
import { isPassword, type Users } from './users.ts'

/** Passwords compared at once: each takes 32 MiB for a tenth of a second or two. */
const MAX_COMPARING = 8

export interface LoginParts {
  readonly basePath: string
  readonly users: Users
  readonly attempts: LoginAttempts
  readonly metrics: AuthMetrics
  readonly log: Logger
  /** The provider of the moment. */
  readonly provider: () => Provider
}

/** The page where a person types a name and a password: `/interaction/:uid`. */
export function createLogin({ basePath, users, attempts, metrics, log, provider }: LoginParts): Router {
  const router = express.Router()
  let comparing = 0

  router.get('/interaction/:uid', async (req, res) => {
    const interaction = await findInteraction(provider(), req, res)
    if (!interaction) return expired(res)
    renderLoginPage(res, basePath, 200, await pageOf(interaction))
  })

  router.post('/interaction/:uid', express.urlencoded({ extended: false, limit: '4kb' }), async (req, res) => {
    const interaction = await findInteraction(provider(), req, res)
    if (!interaction) return expired(res)

    const form = (req.body ?? {}) as Record<string, unknown>
    if (form.do === 'cancel') {
      return provider().interactionFinished(req, res, { error: 'access_denied', error_description: 'login cancelled' })
    }

    const user = typeof form.user === 'string' ? form.user.slice(0, 64) : ''
    const password = typeof form.password === 'string' ? form.password.slice(0, 256) : ''
    const address = clientAddress(req)
    const again = async (status: number, problem: string, headers?: Record<string, string>) =>
      renderLoginPage(res, basePath, status, { ...(await pageOf(interaction)), user, problem }, headers)

    const wait = comparing < MAX_COMPARING ? attempts.begin(user, address) : 1
    if (wait > 0) {
      metrics.login('limited')
      log.warn({ user: { name: user }, client: { ip: address }, wait }, 'login refused: too many attempts')
      return again(429, `Too many attempts. Try again in ${wait} s.`, { 'retry-after': String(wait) })
    }

    comparing += 1
    const right = await isPassword(users, user, password).finally(() => {
      comparing -= 1
    })
    if (!right) {
      metrics.login('wrong')
      log.warn({ user: { name: user }, client: { ip: address } }, 'login failed')
      return again(403, 'Wrong user name or password.')
    }
    attempts.forgive(user, address)
    metrics.login('ok')
    log.info({ user: { name: user }, client: { ip: address } }, 'login')

    // A login starts a session of its own, whoever was logged in before.
    if (interaction.session) {
      const before = await provider().Session.findByUid(interaction.session.uid)
      await before?.destroy()
      delete interaction.session
      await interaction.save(interaction.exp - Math.floor(Date.now() / 1000))
    }
    return provider().interactionFinished(req, res, { login: { accountId: user } })
  })

  const pageOf = async ({ uid, params }: Interaction): Promise<LoginPage> => {
    const client = await provider().Client.find(String(params.client_id))
    return {
      action: `${basePath}/interaction/${uid}`,
      clientName: client?.clientName ?? String(params.client_id),
      callback: String(params.redirect_uri),
    }
  }
  const expired = (res: Response): void =>
    renderErrorPage(res, basePath, 400, 'session_not_found', 'This login took too long, or was started elsewhere.')

  return router
}

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

/** The login that this browser began; undefined when it began none, or too long ago. */
async function findInteraction(provider: Provider, req: Request, res: Response): Promise<Interaction | undefined> {
  try {
    const interaction = await provider.interactionDetails(req, res)
    return interaction.uid === req.params.uid ? interaction : undefined
  } catch (error) {
    if (error instanceof errors.SessionNotFound) return undefined
    throw error
  }
}

/** As the gateway saw it: it writes X-Forwarded-For anew, so the last entry is not the client's invention. */
function clientAddress(req: Request): string {
  return req.get('x-forwarded-for')?.split(',').at(-1)?.trim() ?? req.socket.remoteAddress ?? 'unknown'
}
