import { createHash } from 'node:crypto'
import type { TrustDomain } from '../../model/spiffe-id.ts'
import type { TrustBundle } from '../../model/x509/bundle.ts'
import { type Certificate, parseCertificate } from '../../model/x509/certificate.ts'
import { encodePem } from '../../model/x509/pem.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { makeIssuingCa, makeRoot, readCa } from './ca-certificate.ts'
import type { CaStore } from './ca-store.ts'
import { createLeafSigner, type LeafRequest, type LeafSigner } from './leaf-certificate.ts'
import { toSigningKey } from './signing.ts'

/** The mesh's certificate authority. */
export interface Authority {
  readonly trustDomain: TrustDomain
  /** The roots that every member of the mesh is to trust. */
  trustBundle(): TrustBundle
  /** Signs a leaf. It never outlives the issuing CA, which is replaced in good time. */
  issue(request: LeafRequest): Promise<IssuedCertificate>
}

export interface IssuedCertificate {
  /** PEM: the leaf, then the issuing CA. */
  readonly chain: string
  /** Lower-case hex. */
  readonly serial: string
  readonly notAfterMs: number
}

export interface AuthorityOptions {
  readonly store: CaStore
  readonly trustDomain: TrustDomain
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  /** Default 24 h. At least 30 s, or renewal at half of it is all that sidecars would do. */
  readonly leafLifetimeMs?: number
  /** Default 365 days. The next one is made when a third is left. */
  readonly issuingLifetimeMs?: number
  /** Default 10 years. */
  readonly rootLifetimeMs?: number
}

/** The root has expired. Nothing that this authority could sign would be believed. */
export class RootExpiredError extends Error {
  override readonly name = 'RootExpiredError'
  readonly code = 'root-expired'
}

const DAY_MS = 86_400_000
const MIN_LEAF_LIFETIME_MS = 30_000
const ROOT = 'root-1.pem'

/** Opens the authority kept in `store`; the first to open an empty one makes the root and the first issuing CA. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const {
    store,
    trustDomain,
    clock,
    log,
    leafLifetimeMs = DAY_MS,
    issuingLifetimeMs = 365 * DAY_MS,
    rootLifetimeMs = 3_652 * DAY_MS,
  } = options
  if (leafLifetimeMs < MIN_LEAF_LIFETIME_MS) throw new RangeError(`leafLifetimeMs is below ${MIN_LEAF_LIFETIME_MS}`)

  const root = await openRoot()
  const bundle: TrustBundle = { roots: [root] }
  let generation = 0
  let signer = await newestIssuingCa()
  let replacing: Promise<LeafSigner> | undefined

  async function openRoot(): Promise<Certificate> {
    const entry =
      (await store.read(ROOT)) ?? (await store.create(ROOT, await makeRoot(trustDomain, clock.now(), rootLifetimeMs)))
    return readCa(ROOT, entry).certificate
  }

  /** Named by trust domain: a renamed mesh must not sign with a CA that is constrained to the old name. */
  function issuingName(number: number): string {
    const digest = createHash('sha256').update(trustDomain).digest('hex').slice(0, 16)
    return `issuing-${digest}-${number}.pem`
  }

  async function newestIssuingCa(): Promise<LeafSigner> {
    let newest: string | undefined
    for (;;) {
      const entry = await store.read(issuingName(generation + 1))
      if (entry === undefined) break
      newest = entry
      generation += 1
    }
    if (newest !== undefined) return signerFrom(newest)
    return nextIssuingCa()
  }

  /** The root's key is read for this, and let go. */
  async function nextIssuingCa(): Promise<LeafSigner> {
    const nowMs = clock.now()
    const current = readCa(ROOT, (await store.read(ROOT)) ?? '')
    if (current.certificate.notAfterMs <= nowMs) throw new RootExpiredError(`${ROOT} has expired`)
    const made = await makeIssuingCa(current, trustDomain, nowMs, issuingLifetimeMs)
    const entry = await store.create(issuingName(generation + 1), made)
    generation += 1
    const next = await signerFrom(entry)
    log.info('issuing CA made', { 'x509.serial_number': next.certificate.serial, 'x509.not_after': iso(next) })
    return next
  }

  function signerFrom(entry: string): Promise<LeafSigner> {
    const { certificate, privateKey } = readCa(issuingName(generation), entry)
    return createLeafSigner(certificate, toSigningKey(privateKey))
  }

  async function currentSigner(): Promise<LeafSigner> {
    const { notBeforeMs, notAfterMs } = signer.certificate
    const leftMs = notAfterMs - clock.now()
    const endsWithRoot = notAfterMs >= root.notAfterMs
    if (leftMs > 0 && (endsWithRoot || leftMs > (notAfterMs - notBeforeMs) / 3)) return signer
    replacing ??= nextIssuingCa().finally(() => {
      replacing = undefined
    })
    try {
      signer = await replacing
    } catch (err) {
      if (leftMs <= 0) throw err
      log.warn('issuing CA cannot be replaced yet', { err, 'x509.not_after': iso(signer) })
    }
    return signer
  }

  return {
    trustDomain,
    trustBundle: () => bundle,
    async issue(request) {
      const issuer = await currentSigner()
      const der = await issuer.sign(request, clock.now(), leafLifetimeMs)
      const leaf = parseCertificate(der)
      if (!leaf.ok) throw new Error('the authority made a certificate that it cannot read')
      return {
        chain: encodePem(der, 'CERTIFICATE') + encodePem(issuer.certificate.der, 'CERTIFICATE'),
        serial: leaf.value.serial,
        notAfterMs: leaf.value.notAfterMs,
      }
    },
  }
}

function iso(signer: LeafSigner): string {
  return new Date(signer.certificate.notAfterMs).toISOString()
}
