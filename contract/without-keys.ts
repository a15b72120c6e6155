import type { ListenerCertificate, WorkloadConfig } from './workload-config.ts'

/** The config as anybody may see it: a gateway's private keys are nobody's business (T31). */
export function withoutPrivateKeys(config: WorkloadConfig): WorkloadConfig {
  return {
    ...config,
    listeners: config.listeners.map((listener) =>
      listener.kind === 'inbound'
        ? listener
        : {
            ...listener,
            certificates: listener.certificates.map(withoutPrivateKey),
          },
    ),
    ...(config.streams !== undefined && {
      streams: config.streams.map((stream) => ({
        ...stream,
        certificates: stream.certificates.map(withoutPrivateKey),
      })),
    }),
  }
}

function withoutPrivateKey(certificate: ListenerCertificate): ListenerCertificate {
  return certificate.source === 'secret' ? { ...certificate, privateKey: '[redacted]' } : certificate
}
