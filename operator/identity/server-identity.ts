import { constants } from 'node:crypto'
import type { Server, TlsOptions } from 'node:tls'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Authority } from './authority.ts'
import { makeSigningKeyPair } from './signing.ts'

/** The operator as its clients see it: an SVID that it signed for itself, and the roots it asks of them. */
export interface ServerIdentity {
  /** PKCS#8, PEM. */
  readonly privateKey: string
  /** PEM: the leaf, then the issuing CA. */
  readonly chain: string
  readonly trustBundle: readonly string[]
  readonly notAfterMs: number
  /** The fingerprint of the root that vouches for it. */
  readonly root: string
}

/** The operator needs nobody to vouch for it: it is the authority. A new key each time. */
export async function issueServerIdentity(authority: Authority, spiffeId: SpiffeId): Promise<ServerIdentity> {
  const { privateKey, publicKey } = makeSigningKeyPair()
  const issued = await authority.issue({ profile: 'svid', publicKey, spiffeId })
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    chain: issued.chain,
    trustBundle: pemsOf(authority.trustBundle()),
    notAfterMs: issued.notAfterMs,
    root: issued.root,
  }
}

/**
 * Options of the operator's HTTPS server. A client certificate is asked for but not demanded, because who comes with a
 * token has none yet: `verifiedCertificateOf` (`peer.ts`) says whether TLS believed the one that was shown. TLS 1.3, and
 * nothing can be resumed.
 */
export function operatorTlsOptions(identity: ServerIdentity): TlsOptions {
  return {
    ...contextOptions(identity),
    requestCert: true,
    rejectUnauthorized: false,
    sessionTimeout: 1,
    ALPNProtocols: ['http/1.1'],
  }
}

export interface KeepServerIdentityOptions {
  readonly authority: Authority
  readonly spiffeId: SpiffeId
  /** The one that the server was started with. */
  readonly first: ServerIdentity
  /** Called with each new one, after the server has begun to use it. */
  readonly onRenewed?: (next: ServerIdentity) => void
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

/** The waits between looks at the clock. A laptop that slept finds its certificate old on waking. */
const MAX_SLEEP_MS = 60_000
const RETRY_MS = 5_000

/**
 * Renews the server's certificate at half of its life, and at once when other roots count, closing nothing. Resolves when
 * the signal aborts.
 */
export async function keepServerIdentity(
  server: Pick<Server, 'setSecureContext'>,
  { authority, spiffeId, first, onRenewed, clock, log, signal }: KeepServerIdentityOptions,
): Promise<void> {
  const isNewest = first.trustBundle.join('') === pemsOf(authority.trustBundle()).join('')
  let renewAtMs = isNewest ? halfway(clock.now(), first.notAfterMs) : 0
  let changes = 0
  let wake = new AbortController()
  const stop = authority.onChange(() => {
    changes += 1
    renewAtMs = 0
    wake.abort()
  })
  signal.addEventListener('abort', stop, { once: true })
  while (!signal.aborted) {
    const waitMs = Math.max(0, renewAtMs - clock.now())
    const either = AbortSignal.any([signal, wake.signal])
    await sleep(clock, Math.min(waitMs, MAX_SLEEP_MS), { signal: either, keepAlive: false }).catch(() => {})
    if (signal.aborted) return
    if (clock.now() < renewAtMs) continue
    wake = new AbortController()
    const seen = changes
    try {
      const next = await issueServerIdentity(authority, spiffeId)
      server.setSecureContext(contextOptions(next))
      onRenewed?.(next)
      if (seen === changes) renewAtMs = halfway(clock.now(), next.notAfterMs)
      log.info('server certificate renewed', { 'x509.not_after': new Date(next.notAfterMs).toISOString() })
    } catch (err) {
      renewAtMs = clock.now() + RETRY_MS
      log.error('server certificate not renewed', { err })
    }
  }
}

function halfway(nowMs: number, endMs: number): number {
  return nowMs + Math.max(0, endMs - nowMs) / 2
}

function contextOptions({ privateKey, chain, trustBundle }: ServerIdentity): TlsOptions {
  return {
    key: privateKey,
    cert: chain,
    ca: [...trustBundle],
    minVersion: 'TLSv1.3',
    ecdhCurve: 'X25519:P-256',
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}
