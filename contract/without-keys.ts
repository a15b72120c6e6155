import type { FilterSlots, ListenerCertificate, RouteConfig, WorkloadConfig } from './workload-config.ts'

/**
 * The config as anybody may see it: a gateway's private keys are nobody's business, and neither is what a sidecar proves itself by
 * to an authorization server (T31).
 */
export function withoutPrivateKeys(config: WorkloadConfig): WorkloadConfig {
  return {
    ...config,
    listeners: config.listeners.map((listener) => {
      const routes = listener.routes.map(withoutCredentialsOfRoute)
      return listener.kind === 'inbound'
        ? { ...listener, routes, filters: withoutCredentials(listener.filters) }
        : { ...listener, routes, certificates: listener.certificates.map(withoutPrivateKey) }
    }),
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

function withoutCredentialsOfRoute(route: RouteConfig): RouteConfig {
  return Object.hasOwn(route.filters, ASKING) ? { ...route, filters: withoutCredentials(route.filters) } : route
}

/** The filter whose config holds credentials, in whatever depth. */
const ASKING = 'introspection'

function withoutCredentials(filters: FilterSlots): FilterSlots {
  const slots = Object.hasOwn(filters, ASKING) ? filters[ASKING] : undefined
  if (slots === undefined) return filters
  const redacted = slots.map((slot) =>
    slot.state === 'resolved' ? { ...slot, config: withoutAuthorization(slot.config) } : slot,
  )
  return { ...filters, [ASKING]: redacted }
}

function withoutAuthorization(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutAuthorization)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      name === 'authorization' && typeof inner === 'string' ? '[redacted]' : withoutAuthorization(inner),
    ]),
  )
}
