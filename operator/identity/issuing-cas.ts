import { createHash, X509Certificate } from 'node:crypto'
import type { TrustDomain } from '../../model/spiffe-id.ts'
import type { Certificate } from '../../model/x509/certificate.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { endOf, type IssuerOfCas, makeIssuingCa, readCa } from './ca-certificate.ts'
import type { CaStore } from './ca-store.ts'
import { createLeafSigner, type LeafSigner } from './leaf-certificate.ts'
import { FIRST_ROOT, type Root } from './root.ts'
import { toSigningKey } from './signing.ts'

/** The issuing CAs under one root: the newest signs, the older ones are known. */
export interface IssuingCas {
  readonly root: Root
  /** The one that signs now. It is replaced when a third of its life is left. Rejects when none can sign any more. */
  signer(): Promise<IssuingCa>
  /** Whether one of them signed this leaf. Others that another operator has made meanwhile are looked for, now and then. */
  haveSigned(leaf: X509Certificate): Promise<boolean>
}

export interface IssuingCa extends LeafSigner {
  /** What is shown behind a leaf: the issuing CA, then those between it and the root. */
  readonly issuers: readonly Certificate[]
}

export interface IssuingCasOptions {
  readonly root: Root
  /** Who may sign another issuing CA. Asked only when one is needed: its key is read for that, and let go. */
  readonly issuer: () => Promise<IssuerOfCas>
  readonly store: CaStore
  readonly trustDomain: TrustDomain
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  readonly lifetimeMs: number
}

/** The root, or a CA between it and us, has expired. Nothing that could be signed would be believed. */
export class RootExpiredError extends Error {
  override readonly name = 'RootExpiredError'
  readonly code = 'root-expired'
}

/** Milliseconds after which another issuing CA is asked for again, where the last attempt brought none. */
const RETRY_MS = 60_000

/** Milliseconds between looks for issuing CAs that others have made. */
const LOOK_MS = 10_000

/** Opens what the store has of them. The first is made when something is to be signed. */
export async function openIssuingCas(options: IssuingCasOptions): Promise<IssuingCas> {
  const { root, store, trustDomain, clock, log, lifetimeMs } = options
  const known: X509Certificate[] = []
  let generation = 0
  let current: IssuingCa | undefined
  let replacing: Promise<void> | undefined
  let retryAtMs = 0
  let lookAtMs = 0

  await readNew()

  async function readNew(): Promise<void> {
    lookAtMs = clock.now() + LOOK_MS
    for (;;) {
      const entry = await store.read(nameOf(generation + 1))
      if (entry === undefined) return
      generation += 1
      current = await take(entry)
    }
  }

  /** Named by trust domain and root: a renamed mesh must not sign with a CA that is constrained to the old name. */
  function nameOf(number: number): string {
    const of = root.name === FIRST_ROOT ? trustDomain : `${trustDomain} ${root.fingerprint}`
    return `issuing-${createHash('sha256').update(of).digest('hex').slice(0, 16)}-${number}.pem`
  }

  async function take(entry: string): Promise<IssuingCa> {
    const { certificate, intermediates, privateKey } = readCa(nameOf(generation), entry)
    known.push(new X509Certificate(certificate.der))
    const signer = await createLeafSigner(certificate, toSigningKey(privateKey))
    return { ...signer, issuers: [certificate, ...intermediates] }
  }

  async function replace(): Promise<void> {
    const nowMs = clock.now()
    retryAtMs = nowMs + RETRY_MS
    const issuer = await options.issuer()
    const endMs = endOf(issuer)
    if (endMs <= nowMs) throw new RootExpiredError(`${root.name} has expired`)
    // Another one would end no later than this one does.
    if (current !== undefined && endMs <= current.certificate.notAfterMs) return
    const made = await makeIssuingCa(issuer, trustDomain, nowMs, lifetimeMs)
    const entry = await store.create(nameOf(generation + 1), made)
    generation += 1
    current = await take(entry)
    log.info('issuing CA made', {
      'hauberk.root': root.name,
      'x509.serial_number': current.certificate.serial,
      'x509.not_after': iso(current),
    })
  }

  return {
    root,
    async signer() {
      const { notBeforeMs = 0, notAfterMs = 0 } = current?.certificate ?? {}
      const leftMs = notAfterMs - clock.now()
      const isFresh = leftMs > (notAfterMs - notBeforeMs) / 3
      if (current !== undefined && (isFresh || (leftMs > 0 && clock.now() < retryAtMs))) return current
      replacing ??= replace().finally(() => {
        replacing = undefined
      })
      try {
        await replacing
      } catch (err) {
        if (leftMs <= 0) throw err
        log.warn('issuing CA cannot be replaced yet', { err, 'x509.not_after': current && iso(current) })
      }
      if (current === undefined || current.certificate.notAfterMs <= clock.now()) {
        throw new RootExpiredError(`the issuing CA of ${root.name} has expired`)
      }
      return current
    },
    async haveSigned(leaf) {
      const isOurs = () => known.some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
      if (isOurs()) return true
      if (clock.now() < lookAtMs) return false
      await readNew()
      return isOurs()
    },
  }
}

function iso({ certificate }: IssuingCa): string {
  return new Date(certificate.notAfterMs).toISOString()
}
