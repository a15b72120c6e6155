import { X509Certificate } from 'node:crypto'
import type { TrustDomain } from '../../model/spiffe-id.ts'
import type { TrustBundle } from '../../model/x509/bundle.ts'
import { parseCertificate } from '../../model/x509/certificate.ts'
import { encodePem } from '../../model/x509/pem.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { IssuingCas } from './issuing-cas.ts'
import type { LeafRequest } from './leaf-certificate.ts'
import type { Root } from './root.ts'
import { openRoots, type Roots, type RootsOptions } from './roots.ts'

/** The mesh's certificate authority. */
export interface Authority {
  readonly trustDomain: TrustDomain
  readonly roots: Roots
  /** The roots that every member of the mesh is to trust. The first is the one that signs now. */
  trustBundle(): TrustBundle
  /** Fingerprints of roots that nobody may trust any more, whatever else says so. */
  distrusted(): readonly string[]
  /** Signs a leaf. It outlives nobody above it; issuing CAs are replaced in good time. */
  issue(request: LeafRequest): Promise<IssuedCertificate>
  /** The fingerprint of the root in use that vouches for a leaf (DER); undefined: none does. */
  rootOf(leaf: Uint8Array): Promise<string | undefined>
  /** From now on these roots are trusted, and the first of them signs. Rejects, and changes nothing, when it cannot. */
  use(next: RootsInUse): Promise<void>
  /** Calls `listener` after each change of the bundle or of what is distrusted. Returns how to stop. */
  onChange(listener: () => void): () => void
}

/** Which roots count. */
export interface RootsInUse {
  /** Trusted; the first signs. */
  readonly trusted: readonly [Root, ...Root[]]
  /** Fingerprints. */
  readonly distrusted: readonly string[]
}

export interface IssuedCertificate {
  /** PEM: the leaf, the issuing CA, then those between that and the root, if any. */
  readonly chain: string
  /** Lower-case hex. */
  readonly serial: string
  readonly notAfterMs: number
  /** The fingerprint of the root that vouches for it. */
  readonly root: string
}

export interface AuthorityOptions extends RootsOptions {
  readonly clock: Pick<Clock, 'now'>
  /**
   * Default 24 h. At least 30 s, or renewal at half of it is all that sidecars would do. A function is asked for each leaf.
   */
  readonly leafLifetimeMs?: number | (() => number)
  /** Which roots count at first. Default: the first that was ever made, made by the first to open an empty store. */
  readonly first?: (roots: Roots) => Promise<RootsInUse>
}

const DAY_MS = 86_400_000
const MIN_LEAF_LIFETIME_MS = 30_000

/** Opens the authority kept in `store`. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { trustDomain, clock, leafLifetimeMs = DAY_MS, first = firstRoot } = options
  const lifetimeMs = typeof leafLifetimeMs === 'function' ? leafLifetimeMs : () => leafLifetimeMs
  if (lifetimeMs() < MIN_LEAF_LIFETIME_MS) throw new RangeError(`leafLifetimeMs is below ${MIN_LEAF_LIFETIME_MS}`)
  const roots = openRoots(options)
  let inUse = await open(await first(roots))
  const listeners = new Set<() => void>()

  async function open({ trusted, distrusted }: RootsInUse): Promise<OpenRoots> {
    const cas = await Promise.all(trusted.map((root) => roots.issuingCas(root)))
    await cas[0]!.signer()
    return { cas, bundle: { roots: trusted.map(({ certificate }) => certificate) }, distrusted }
  }

  return {
    trustDomain,
    roots,
    trustBundle: () => inUse.bundle,
    distrusted: () => inUse.distrusted,
    async issue(request) {
      const [signing] = inUse.cas
      const ca = await signing!.signer()
      const der = await ca.sign(request, clock.now(), Math.max(MIN_LEAF_LIFETIME_MS, lifetimeMs()))
      const leaf = parseCertificate(der)
      if (!leaf.ok) throw new Error('the authority made a certificate that it cannot read')
      return {
        chain: [der, ...ca.issuers.map((issuer) => issuer.der)].map((one) => encodePem(one, 'CERTIFICATE')).join(''),
        serial: leaf.value.serial,
        notAfterMs: leaf.value.notAfterMs,
        root: signing!.root.fingerprint,
      }
    },
    async rootOf(der) {
      const leaf = new X509Certificate(der)
      for (const cas of inUse.cas) if (await cas.haveSigned(leaf)) return cas.root.fingerprint
      return undefined
    },
    async use(next) {
      const opened = await open(next)
      const isSame = keyOf(opened) === keyOf(inUse)
      inUse = opened
      if (!isSame) for (const listener of [...listeners]) listener()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

interface OpenRoots {
  readonly cas: readonly IssuingCas[]
  readonly bundle: TrustBundle
  readonly distrusted: readonly string[]
}

async function firstRoot(roots: Roots): Promise<RootsInUse> {
  return { trusted: [await roots.made(1)], distrusted: [] }
}

function keyOf({ cas, distrusted }: OpenRoots): string {
  return [...cas.map(({ root }) => root.fingerprint), '', ...distrusted].join(' ')
}
