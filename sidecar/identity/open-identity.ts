import { describeIssue, ok, type Result } from '../../model/result.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import { parseTrustBundle, pemsOf } from '../../model/x509/bundle.ts'
import { FileError, readFileCapped } from '../../runtime/atomic-file.ts'
import { createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { CertificateFetchError, type Credential, type OperatorAddress } from './fetch-certificate.ts'
import { createIdentity, type Identity, withTrustBundle } from './identity.ts'
import { loadIdentity, saveIdentity } from './identity-file.ts'
import { createIdentityStore, type IdentityStore } from './identity-store.ts'
import { obtain } from './obtain.ts'
import { keepRenewed } from './renewal.ts'

export interface OpenIdentityOptions {
  /** Who this sidecar is to be. An answer for anybody else is refused. */
  readonly spiffeId: SpiffeId
  readonly operator: OperatorAddress
  /** `ca.crt`: the roots to trust until the operator says more. Read anew at each attempt. */
  readonly trustAnchorsFile: string
  /** Holds one token; read anew at each attempt, because whoever starts this sidecar may put a fresh one there. */
  readonly tokenFile: string
  /** Where key and certificate outlive a restart; only this process may read it. */
  readonly stateDirectory: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}

const MAX_TRUST_ANCHORS_BYTES = 262_144
const MAX_TOKEN_BYTES = 16_384
const FIRST_TRY = { baseMs: 250, maxMs: 5_000, minMs: 100 } as const

/**
 * The sidecar's identity: what it kept, if that is still good, else a first certificate from the operator, however long
 * that takes. Rejects only when the signal aborts.
 */
export async function openIdentity(options: OpenIdentityOptions): Promise<IdentityStore> {
  const { clock, random, log, signal } = options
  const kept = await keptIdentity(options)
  if (kept !== undefined) return createIdentityStore(kept)
  const backoff = createBackoff({ ...FIRST_TRY, random })
  for (;;) {
    try {
      const identity = await obtainIdentity(undefined, options)
      await save(identity, options)
      return createIdentityStore(identity)
    } catch (err) {
      signal.throwIfAborted()
      const askedMs = err instanceof CertificateFetchError ? (err.retryAfterMs ?? 0) : 0
      const waitMs = Math.min(Math.max(backoff.next(), askedMs), FIRST_TRY.maxMs)
      log.warn('no certificate yet', { err, 'event.retry_ms': Math.round(waitMs) })
      await sleep(clock, waitMs, { signal })
    }
  }
}

/**
 * Renews the store's identity for as long as the signal lets it. `onExpired`: its end came first; nobody believes this
 * sidecar any more, and locally a restart brings a new join token.
 */
export function keepIdentity(
  store: IdentityStore,
  options: OpenIdentityOptions & { readonly onExpired?: () => void },
): Promise<void> {
  const { clock, random, log, signal, onExpired } = options
  return keepRenewed({
    first: store.current(),
    obtain: () => obtainIdentity(store.current(), options),
    async adopt(next) {
      await save(next, options)
      store.replace(next)
      log.info('certificate renewed', { 'x509.not_after': new Date(next.notAfterMs).toISOString() })
    },
    ...(onExpired === undefined ? {} : { onExpired }),
    clock,
    random,
    log,
    signal,
  })
}

/** Trusts the roots that the operator pushed from now on, if they are others. Connections that are open stay. */
export async function adoptTrustBundle(
  store: IdentityStore,
  pems: readonly string[],
  options: Pick<OpenIdentityOptions, 'stateDirectory' | 'log'>,
): Promise<Result<void>> {
  const next = withTrustBundle(store.current(), pems)
  if (!next.ok) return next
  if (next.value.trustBundle.join('') === store.current().trustBundle.join('')) return ok(undefined)
  store.replace(next.value)
  await save(next.value, options)
  return ok(undefined)
}

/** Nothing of what was kept counts when the roots were replaced meanwhile: that is another mesh, or a rotation missed. */
async function keptIdentity(options: OpenIdentityOptions): Promise<Identity | undefined> {
  const { stateDirectory, spiffeId, clock, log } = options
  const kept = await loadIdentity(stateDirectory, spiffeId, clock.now()).catch((err: unknown) => {
    log.warn('kept identity cannot be read', { err })
    return undefined
  })
  if (kept === undefined) return undefined
  if (!kept.ok) {
    log.info('kept identity not used', { 'event.reason': kept.issues.map(describeIssue).join('; ') })
    return undefined
  }
  if (kept.value === undefined) return undefined
  const anchors = await readTrustAnchors(options).catch(() => undefined)
  if (anchors !== undefined && !anchors.some((pem) => kept.value?.trustBundle.includes(pem))) {
    log.info('kept identity not used', { 'event.reason': 'the trust anchors were replaced' })
    return undefined
  }
  return kept.value
}

async function obtainIdentity(current: Identity | undefined, options: OpenIdentityOptions): Promise<Identity> {
  const { operator, spiffeId, clock, signal } = options
  const isCurrent = current !== undefined && current.notAfterMs > clock.now()
  const credentials: Credential[] = isCurrent ? [{ kind: 'certificate', certificate: current }] : []
  const token = await readToken(options.tokenFile).catch((cause: unknown) => {
    if (isCurrent) return undefined
    throw cause
  })
  if (token !== undefined) credentials.push({ kind: 'token', token })
  const trustBundle = isCurrent ? current.trustBundle : await readTrustAnchors(options)
  const { privateKey, answer, receivedAtMs } = await obtain(
    { profile: 'svid' },
    { operator, credentials, trustBundle, clock, signal },
  )
  const identity = createIdentity(
    { privateKey, chain: answer.certificate, trustBundle: answer.trustBundle, receivedAtMs },
    spiffeId,
    clock.now(),
  )
  if (identity.ok) return identity.value
  throw new CertificateFetchError('bad-answer', identity.issues.map(describeIssue).join('; '))
}

async function readTrustAnchors({ trustAnchorsFile }: OpenIdentityOptions): Promise<readonly string[]> {
  const text = (await readFileCapped(trustAnchorsFile, MAX_TRUST_ANCHORS_BYTES)).toString('utf8')
  const bundle = parseTrustBundle(text)
  if (bundle.ok) return pemsOf(bundle.value)
  throw new Error(`${trustAnchorsFile} ${bundle.issues.map(describeIssue).join('; ')}`)
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    const token = (await readFileCapped(path, MAX_TOKEN_BYTES)).toString('utf8').trim()
    return token === '' ? undefined : token
  } catch (cause) {
    if (cause instanceof FileError && cause.code === 'missing') return undefined
    throw cause
  }
}

/** A disk that is full or read-only costs the next restart an operator, and nothing now (F11). */
async function save(
  identity: Identity,
  { stateDirectory, log }: Pick<OpenIdentityOptions, 'stateDirectory' | 'log'>,
): Promise<void> {
  await saveIdentity(stateDirectory, identity).catch((err: unknown) => log.warn('identity not saved', { err }))
}
