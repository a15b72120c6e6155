import { describeIssue } from '../../model/result.ts'
import { spiffeIdFor, type TrustDomain } from '../../model/spiffe-id.ts'
import type { Certificate } from '../../model/x509/certificate.ts'
import { encodePem } from '../../model/x509/pem.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { CaEntryError, type IssuerOfCas, makeRoot, readCa, readCertificates } from './ca-certificate.ts'
import type { CaStore } from './ca-store.ts'
import { type CustomRoot, CustomRootError, readCustomRoot } from './custom-root.ts'
import { type IssuingCas, openIssuingCas } from './issuing-cas.ts'
import { ChainError, proveChain } from './prove-chain.ts'
import { fingerprintOf, type Root, type RootRef } from './root.ts'
import { makeSigningKeyPair } from './signing.ts'

/** The roots that a CA store has, and the one that a user brought. Which of them count is not known here. */
export interface Roots {
  /** The root of a generation; the first who asks makes it. */
  made(generation: number): Promise<Root>
  /** The root of a generation, if it was ever made. */
  existing(generation: number): Promise<Root | undefined>
  /**
   * The root that a user brought; undefined: there is none.
   *
   * @throws CustomRootError
   */
  brought(): Promise<Root | undefined>
  /** One that there was before. Rejects when it is not there any more, or is another one. */
  read(ref: RootRef): Promise<Root>
  issuingCas(root: Root): Promise<IssuingCas>
  /** Has an issuing CA under it sign, and rejects with a {@link CustomRootError} where OpenSSL does not believe what it signs. */
  prove(root: Root): Promise<void>
}

export interface RootsOptions {
  readonly store: CaStore
  readonly trustDomain: TrustDomain
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  /** Where a user puts a root of their own; undefined: they did not. Default: nowhere. */
  readonly customRoot?: () => Promise<CustomRoot | undefined>
  /** Default 365 days. The next one is made when a third is left. */
  readonly issuingLifetimeMs?: number
  /** Default 10 years. */
  readonly rootLifetimeMs?: number
}

const DAY_MS = 86_400_000
const CUSTOM_PREFIX = 'root-custom-'

/** Whether a root was brought by a user, by its name. */
export function isCustom({ name }: Pick<RootRef, 'name'>): boolean {
  return name.startsWith(CUSTOM_PREFIX)
}

export function openRoots(options: RootsOptions): Roots {
  const { store, trustDomain, clock, log, customRoot = async () => undefined } = options
  const { issuingLifetimeMs = 365 * DAY_MS, rootLifetimeMs = 3_652 * DAY_MS } = options
  /** By name. Entries never change, so what was read once need not be read again. As many as there are generations. */
  const known = new Map<string, Root>()
  /** By fingerprint. */
  const opened = new Map<string, Promise<IssuingCas>>()

  const customIssuer = async (): Promise<IssuerOfCas | undefined> => {
    const parts = await customRoot()
    if (parts === undefined) return undefined
    const read = readCustomRoot(parts, clock.now())
    if (read.ok) return read.value
    throw new CustomRootError(read.issues.map(describeIssue).join('; '))
  }

  const issuerUnder = async (root: Root): Promise<IssuerOfCas> => {
    if (!isCustom(root)) {
      const own = readCa(root.name, (await store.read(entryOf(root.name))) ?? '')
      return { ...own, root: own.certificate }
    }
    const issuer = await customIssuer()
    if (issuer !== undefined && fingerprintOf(issuer.root) === root.fingerprint) return issuer
    throw new CustomRootError(`the key that signs for ${root.name} is not there any more`)
  }

  const issuingCas = (root: Root): Promise<IssuingCas> => {
    const known = opened.get(root.fingerprint)
    if (known !== undefined) return known
    const issuer = () => issuerUnder(root)
    const opening = openIssuingCas({ root, issuer, store, trustDomain, clock, log, lifetimeMs: issuingLifetimeMs })
    opened.set(root.fingerprint, opening)
    opening.catch(() => opened.delete(root.fingerprint))
    return opening
  }

  const remember = (name: string, certificate: Certificate): Root => {
    const root = { name, fingerprint: fingerprintOf(certificate), certificate }
    known.set(name, root)
    return root
  }

  const existing = async (generation: number): Promise<Root | undefined> => {
    const name = nameOf(generation)
    const found = known.get(name)
    if (found !== undefined) return found
    const content = await store.read(entryOf(name))
    return content === undefined ? undefined : remember(name, readCa(name, content).certificate)
  }

  return {
    async made(generation) {
      const found = await existing(generation)
      if (found !== undefined) return found
      const name = nameOf(generation)
      const made = await makeRoot(trustDomain, clock.now(), rootLifetimeMs)
      return remember(name, readCa(name, await store.create(entryOf(name), made)).certificate)
    },
    existing,
    async brought() {
      const issuer = await customIssuer()
      if (issuer === undefined) return undefined
      const fingerprint = fingerprintOf(issuer.root)
      const name = `${CUSTOM_PREFIX}${fingerprint.slice(0, 16)}`
      const found = known.get(name)
      if (found?.fingerprint === fingerprint) return found
      // The certificate is kept, so that the root can be trusted for as long as it must, whatever becomes of the original.
      await store.create(entryOf(name), encodePem(issuer.root.der, 'CERTIFICATE'))
      return remember(name, issuer.root)
    },
    async read({ name, fingerprint }) {
      const found = known.get(name)
      if (found?.fingerprint === fingerprint) return found
      const content = await store.read(entryOf(name))
      if (content === undefined) throw new CaEntryError(`${name} is not there any more`)
      const [certificate] = readCertificates(name, content)
      if (certificate === undefined || fingerprintOf(certificate) !== fingerprint) {
        throw new CaEntryError(`${name} is another root than it was`)
      }
      return remember(name, certificate)
    },
    issuingCas,
    async prove(root) {
      const cas = await issuingCas(root)
      // Those that we make ourselves are proven by tests.
      if (!isCustom(root)) return void (await cas.signer())
      try {
        await proveSigner(cas, trustDomain, clock.now())
      } catch (cause) {
        if (!(cause instanceof ChainError)) throw cause
        const why = cause.cause instanceof Error ? cause.cause.message : cause.message
        throw new CustomRootError(`what ${root.name} signs is not believed: ${why}`, { cause })
      }
    },
  }
}

function nameOf(generation: number): string {
  return `root-${generation}`
}

function entryOf(name: string): string {
  return `${name}.pem`
}

/** Has a leaf signed and believed. */
async function proveSigner({ root, signer }: IssuingCas, trustDomain: TrustDomain, nowMs: number): Promise<void> {
  const spiffeId = spiffeIdFor(trustDomain, 'hauberk-system', 'hauberk-operator')
  if (!spiffeId.ok) throw new Error(spiffeId.issues.map(describeIssue).join('; '))
  const ca = await signer()
  const { privateKey, publicKey } = makeSigningKeyPair()
  const leaf = await ca.sign({ profile: 'svid', publicKey, spiffeId: spiffeId.value }, nowMs, PROOF_LIFETIME_MS)
  await proveChain({
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    chain: [leaf, ...ca.issuers.map(({ der }) => der)].map((der) => encodePem(der, 'CERTIFICATE')).join(''),
    root: encodePem(root.certificate.der, 'CERTIFICATE'),
  })
}

/** Nobody but OpenSSL sees this leaf. */
const PROOF_LIFETIME_MS = 60_000
