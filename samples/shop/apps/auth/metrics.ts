import { Counter, Registry } from '@prometheus-io/client'

/** What auth counts, in a registry of its own. */
export interface AuthMetrics {
  readonly registry: Registry
  /** `result`: ok, wrong (user name or password), limited (too many attempts). */
  login(result: 'ok' | 'wrong' | 'limited'): void
  tokenIssued(grant: string, client: string): void
  tokenRefused(error: string): void
}

export function createMetrics(): AuthMetrics {
  const registry = new Registry()
  const registers = [registry]
  const logins = new Counter({
    name: 'shop_auth_logins_total',
    help: 'Login attempts of people, by result.',
    labelNames: ['result'],
    registers,
  })
  const issued = new Counter({
    name: 'shop_auth_tokens_issued_total',
    help: 'Answers of the token endpoint that carry a token, by grant type and client.',
    labelNames: ['grant', 'client'],
    registers,
  })
  const refused = new Counter({
    name: 'shop_auth_tokens_refused_total',
    help: 'Refusals of the token endpoint, by OAuth error code.',
    labelNames: ['error'],
    registers,
  })
  for (const result of ['ok', 'wrong', 'limited']) logins.inc({ result }, 0)
  return {
    registry,
    login: (result) => logins.inc({ result }),
    tokenIssued: (grant, client) => issued.inc({ grant, client }),
    tokenRefused: (error) => refused.inc({ error }),
  }
}
