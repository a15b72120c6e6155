import type { TLSSocket, TlsOptions } from 'node:tls'
import type { ServingCertificates } from '../identity/serving-certificates.ts'
import { gatewayTlsOptions } from '../identity/tls-options.ts'
import type { Accepted } from './accepted.ts'
import type { ChosenCertificate } from './certificate-chooser.ts'
import type { Engine } from './engine.ts'
import { createHandshaker, type PortLabel } from './port.ts'

/** Ends TLS at a port of a Gateway, with the certificate of the listener that a name is for. */
export interface Terminator {
  handshake(accepted: Accepted, done: (socket: TLSSocket) => void): void
  /** The config is another one: clients that name nobody are shown another certificate, it may be. */
  refresh(): void
  close(): void
}

export interface TerminatorOptions {
  readonly options: TlsOptions
  /** By what SNI says, as it was written; undefined: the client names nobody. */
  certificateFor(serverName: string | undefined): ChosenCertificate | undefined
  readonly certificates: Pick<ServingCertificates, 'onChange'> | undefined
}

export function createTerminator(
  engine: Engine,
  label: PortLabel,
  { options, certificateFor, certificates }: TerminatorOptions,
): Terminator {
  const { server, handshake } = createHandshaker(engine, label, {
    ...options,
    SNICallback(serverName, done) {
      const chosen = certificateFor(serverName)
      if (chosen === undefined) done(new Error(`no certificate for ${serverName}`))
      else done(null, chosen.context)
    },
  })
  // SNICallback is not asked for clients that name nobody.
  const refresh = () => {
    const chosen = certificateFor(undefined)
    if (chosen !== undefined) server.setSecureContext(gatewayTlsOptions(chosen))
  }
  refresh()
  const unfollow = certificates?.onChange(refresh)
  return { handshake, refresh, close: () => unfollow?.() }
}
