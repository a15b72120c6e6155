import type { TLSSocket } from 'node:tls'

/**
 * Who may call the webhooks where the API server has a client certificate for it (its AdmissionConfiguration names a
 * kubeconfig per webhook host). A stock API server has none, and the secret in the path is all that tells it.
 */
export interface ClientCertificates {
  /** PEM certificates of whoever signs those of API servers. */
  readonly authorities: string
  /** Common names and DNS names, any of which the certificate must have. Never empty. */
  readonly names: readonly string[]
}

/** Whether the peer of a connection that TLS has verified is one of those. */
export function isNamedClient(socket: TLSSocket, { names }: ClientCertificates): boolean {
  if (!socket.authorized) return false
  const { subject, subjectaltname = '' } = socket.getPeerCertificate()
  const common = [subject?.CN ?? []].flat()
  // A DNS name has neither comma nor quote: what Node escapes for having one is none that could be meant.
  const dns = subjectaltname.split(', ').flatMap((name) => (name.startsWith('DNS:') ? [name.slice('DNS:'.length)] : []))
  return [...common, ...dns].some((name) => names.includes(name))
}
