import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { parseCertificates } from '../../model/x509/certificate.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type Identity, isVouchedFor } from './identity.ts'
import type { IdentityStore } from './identity-store.ts'

/**
 * Milliseconds after a root was distrusted in which handshakes that were begun before may still end: their context had the
 * old roots. Longer than any handshake may take (`headMs`, `connectMs`).
 */
const HANDSHAKE_MS = 15_000

/**
 * The open connections of the mesh, both ways. When a root is distrusted, those are cut whose peer cannot be proven to
 * have another one (F06).
 *
 * A TLS server of Node is told its peer's leaf and no more of the chain. So nothing is remembered of a connection: when it
 * matters, its leaf is held against the roots in use and the issuing CAs that are known to lead to one: those of our own
 * chain. While there are none of these, everybody is cut. Bounded by the connection tables.
 */
export class MeshConnections {
  readonly #open = new Set<TLSSocket>()
  readonly #identity: IdentityStore
  readonly #clock: Pick<Clock, 'monotonic'>
  #distrusted: ReadonlySet<string>
  #suspectUntilMs = Number.NEGATIVE_INFINITY

  constructor(identity: IdentityStore, clock: Pick<Clock, 'monotonic'>) {
    this.#identity = identity
    this.#clock = clock
    this.#distrusted = new Set(identity.current().distrustedRoots)
    identity.onChange((next) => this.#review(next))
  }

  get size(): number {
    return this.#open.size
  }

  /** Follows a connection whose peer was judged. It may be cut at once. */
  add(socket: TLSSocket): void {
    if (socket.destroyed) return
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    if (this.#clock.monotonic() >= this.#suspectUntilMs) return
    if (!isProven(socket, issuersOf(this.#identity.current()))) socket.destroy()
  }

  #review(next: Identity): void {
    const known = this.#distrusted
    this.#distrusted = new Set(next.distrustedRoots)
    if (next.distrustedRoots.every((root) => known.has(root))) return
    this.#suspectUntilMs = this.#clock.monotonic() + HANDSHAKE_MS
    const issuers = issuersOf(next)
    for (const socket of [...this.#open]) if (!isProven(socket, issuers)) socket.destroy()
  }
}

/** The roots in use, and the CAs of our own chain while one of them vouches for it. */
function issuersOf(identity: Identity): readonly X509Certificate[] {
  const roots = identity.trustBundle.map((pem) => new X509Certificate(pem))
  const chain = isVouchedFor(identity) ? parseCertificates(identity.chain) : undefined
  const issuing = chain?.ok ? chain.value.slice(1).map(({ der }) => new X509Certificate(der)) : []
  return [...roots, ...issuing]
}

function isProven(socket: TLSSocket, issuers: readonly X509Certificate[]): boolean {
  const leaf = socket.getPeerX509Certificate()
  if (leaf === undefined) return false
  return issuers.some((issuer) => leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey))
}
