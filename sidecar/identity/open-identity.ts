import { describeIssue, ok, type Result } from '../../model/result.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import { parseTrustBundle } from '../../model/x509/bundle.ts'
import { createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type CredentialsOptions, credentialsFor } from './credentials.ts'
import { CertificateFetchError, type OperatorAddress } from './fetch-certificate.ts'
import { createHurry, REISSUE_WITHIN_MS, REPLACE_WITHIN_MS } from './hurry.ts'
import { createIdentity, fingerprintOf, type Identity, isVouchedFor, withTrustBundle } from './identity.ts'
import { loadIdentity, saveIdentity } from './identity-file.ts'
import { createIdentityStore, type IdentityStore } from './identity-store.ts'
import { obtain } from './obtain.ts'
import { keepRenewed } from './renewal.ts'
import { operatorRoots, readTrustAnchors } from './trust-anchors.ts'

export interface OpenIdentityOptions extends CredentialsOptions {
  /** Who this sidecar is to be. An answer for anybody else is refused. */
  readonly spiffeId: SpiffeId
  readonly operator: OperatorAddress
  /** `ca.crt`: the roots to trust until the operator says more. Read anew at each attempt. */
  readonly trustAnchorsFile: string
  /** Where key and certificate outlive a restart; only this process may read it. */
  readonly stateDirectory: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}

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

/** Keeps an identity renewed. */
export interface KeptIdentity {
  /** Resolves when the signal aborts. */
  readonly done: Promise<void>
  /**
   * The operator cannot be reached, or does not believe us: `ca.crt` is looked at again. If it has lost the root of our
   * certificate, that is replaced; what it has gained, the operator is known by from then on.
   */
  reviewAnchors(): Promise<void>
  /** PEM certificates of the roots by which the operator is known. */
  operatorRoots(): readonly string[]
}

/**
 * Renews the store's identity for as long as the signal lets it: at half of its life; within {@link REISSUE_WITHIN_MS}
 * when the operator signs under another root; within {@link REPLACE_WITHIN_MS} when nobody vouches for it any more.
 *
 * `onVoid`: it has expired, or nobody vouches for it; nobody believes this sidecar, and locally a new join token is needed.
 */
export function keepIdentity(
  store: IdentityStore,
  options: OpenIdentityOptions & { readonly onVoid?: () => void },
): KeptIdentity {
  const { clock, random, log, signal, onVoid } = options
  const hurry = createHurry()
  let anchors: readonly string[] = []
  /** The root of our certificate is not among the anchors: the operator believes it no more, whatever it has pushed. */
  let isForgotten = false

  const review = (identity: Identity): void => {
    const { root, trustedRoots } = identity
    if (isForgotten || !isVouchedFor(identity)) {
      hurry.within(REPLACE_WITHIN_MS)
      onVoid?.()
    } else if (root !== trustedRoots[0]) {
      hurry.within(REISSUE_WITHIN_MS)
    }
  }
  const stop = store.onChange(review)
  review(store.current())
  const done = keepRenewed({
    first: store.current(),
    obtain: () => obtainIdentity(store.current(), options),
    async adopt(next) {
      await save(next, options)
      hurry.done()
      isForgotten = false
      store.replace(next)
      log.info('certificate renewed', { 'x509.not_after': new Date(next.notAfterMs).toISOString() })
    },
    ...(onVoid === undefined ? {} : { onExpired: onVoid }),
    isVoid: () => isForgotten || !isVouchedFor(store.current()),
    hurry,
    clock,
    random,
    log,
    signal,
  }).finally(stop)
  return {
    done,
    operatorRoots: () => operatorRoots(store.current(), anchors),
    async reviewAnchors() {
      try {
        anchors = await readTrustAnchors(options.trustAnchorsFile)
      } catch (err) {
        log.debug('the trust anchors cannot be read', { err })
        return
      }
      const { root } = store.current()
      const isNew = !isForgotten
      isForgotten = !fingerprintsOf(anchors).includes(root)
      if (isForgotten && isNew) review(store.current())
    },
  }
}

/**
 * Trusts the roots that the operator pushed from now on, if they are others, and those not that it says are distrusted.
 * Connections that are open stay, but for those that `MeshConnections` cuts.
 */
export async function adoptTrustBundle(
  store: IdentityStore,
  pems: readonly string[],
  options: Pick<OpenIdentityOptions, 'stateDirectory' | 'log'> & { readonly distrustedRoots?: readonly string[] },
): Promise<Result<void>> {
  const before = store.current()
  const next = withTrustBundle(before, pems, options.distrustedRoots)
  if (!next.ok) return next
  if (keyOf(next.value) === keyOf(before)) return ok(undefined)
  store.replace(next.value)
  await save(next.value, options)
  return ok(undefined)
}

function keyOf({ trustedRoots, distrustedRoots }: Identity): string {
  return `${trustedRoots.join(' ')};${distrustedRoots.join(' ')}`
}

/** What was kept counts only while its root is an anchor still: else that is another mesh, or a rotation missed. */
async function keptIdentity(options: OpenIdentityOptions): Promise<Identity | undefined> {
  const { stateDirectory, spiffeId, trustAnchorsFile, clock, log } = options
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
  const anchors = await readTrustAnchors(trustAnchorsFile).catch(() => undefined)
  if (anchors !== undefined && !fingerprintsOf(anchors).includes(kept.value.root)) {
    log.info('kept identity not used', { 'event.reason': 'the trust anchors were replaced' })
    return undefined
  }
  return kept.value
}

async function obtainIdentity(current: Identity | undefined, options: OpenIdentityOptions): Promise<Identity> {
  const { operator, spiffeId, trustAnchorsFile, clock, signal } = options
  const isCurrent = current !== undefined && current.notAfterMs > clock.now()
  const credentials = await credentialsFor(options, isCurrent ? current : undefined)
  const anchors = await readTrustAnchors(trustAnchorsFile).catch((cause: unknown) => {
    if (current === undefined) throw cause
    return []
  })
  const trustBundle = current === undefined ? anchors : operatorRoots(current, anchors)
  const { privateKey, answer, receivedAtMs } = await obtain(
    { profile: 'svid' },
    { operator, credentials, trustBundle, clock, signal },
  )
  const distrustedRoots = current?.distrustedRoots ?? []
  const identity = createIdentity(
    { privateKey, chain: answer.certificate, trustBundle: answer.trustBundle, receivedAtMs, distrustedRoots },
    spiffeId,
    clock.now(),
  )
  if (identity.ok) return identity.value
  throw new CertificateFetchError('bad-answer', identity.issues.map(describeIssue).join('; '))
}

function fingerprintsOf(pems: readonly string[]): readonly string[] {
  const bundle = parseTrustBundle(...pems)
  return bundle.ok ? bundle.value.roots.map(fingerprintOf) : []
}

/** A disk that is full or read-only costs the next restart an operator, and nothing now (F11). */
async function save(
  identity: Identity,
  { stateDirectory, log }: Pick<OpenIdentityOptions, 'stateDirectory' | 'log'>,
): Promise<void> {
  await saveIdentity(stateDirectory, identity).catch((err: unknown) => log.warn('identity not saved', { err }))
}
