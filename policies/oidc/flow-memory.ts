import type { FilterDeps } from '../../model/filter.ts'
import { createVerifier, type Verifier } from '../jwt/verifier.ts'
import { SharedAnswers } from '../shared-answers.ts'
import type { OidcConfig } from './config.ts'
import { EndedSessions } from './ended-sessions.ts'
import type { Session } from './session.ts'

/** Milliseconds that a renewed session is handed to whoever still comes with the one before: requests that were on their way. */
export const RENEWED_FOR_MS = 60_000

/** Milliseconds that a session is remembered to be over since the provider has not renewed it. */
export const REFUSED_FOR_MS = 10_000

/** What became of a session whose access token was about to end. */
export type Renewed =
  | { readonly kind: 'renewed'; readonly session: Session; readonly sealed: string }
  | { readonly kind: 'over' | 'unavailable'; readonly detail: string }

/** What logins of one policy remember, and what outlives a push of it. */
export interface FlowMemory {
  /** Of which issuer and client sessions are. */
  readonly binding: string
  readonly idTokens: Verifier
  readonly logoutTokens: Verifier
  readonly ended: EndedSessions
  readonly renewed: SharedAnswers<Renewed>
}

export function flowMemory({ issuer, clientId, cookieName, maxAgeMs }: OidcConfig, deps: FilterDeps): FlowMemory {
  const binding = deps.crypto.sha256(JSON.stringify([issuer.name, issuer.issuer, clientId]))
  const name = `${cookieName} ${binding}`
  return {
    binding,
    idTokens: createVerifier([{ ...issuer, types: ['', 'jwt'] }], deps),
    logoutTokens: createVerifier([{ ...issuer, types: ['', 'jwt', 'logout+jwt'] }], deps),
    ended: new EndedSessions(deps, name, maxAgeMs),
    renewed: deps.remember(`renewed ${name}`, () => renewals(deps)),
  }
}

function renewals({ clock }: FilterDeps): SharedAnswers<Renewed> {
  return new SharedAnswers<Renewed>({
    now: clock.monotonic,
    overloaded: { kind: 'unavailable', detail: 'too many sessions are renewed' },
    keepMs({ kind }) {
      return kind === 'renewed' ? RENEWED_FOR_MS : kind === 'over' ? REFUSED_FOR_MS : 0
    },
  })
}
