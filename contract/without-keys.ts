import type { FilterSlots, ListenerCertificate, RouteConfig, WorkloadConfig } from './workload-config.ts'

/**
 * The config as anybody may see it: a gateway's private keys are nobody's business, and neither is what a sidecar proves itself by
 * to an authorization server, or seals sessions by (T31).
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
  const filters = withoutCredentials(route.filters)
  return filters === route.filters ? route : { ...route, filters }
}

/** Filters whose configs hold credentials, in whatever depth, and under which names. */
const CREDENTIALS: Readonly<Record<string, ReadonlySet<string>>> = {
  introspection: new Set(['authorization']),
  oidc: new Set(['clientSecret', 'cookieKeys']),
}

function withoutCredentials(filters: FilterSlots): FilterSlots {
  let shown = filters
  for (const [filter, names] of Object.entries(CREDENTIALS)) {
    const slots = Object.hasOwn(filters, filter) ? filters[filter] : undefined
    if (slots === undefined) continue
    const redacted = slots.map((slot) =>
      slot.state === 'resolved' ? { ...slot, config: without(names, slot.config) } : slot,
    )
    shown = { ...shown, [filter]: redacted }
  }
  return shown
}

function without(names: ReadonlySet<string>, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((inner) => without(names, inner))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, names.has(name) ? redacted(inner) : without(names, inner)]),
  )
}

function redacted(value: unknown): unknown {
  return Array.isArray(value) ? value.map(redacted) : typeof value === 'string' ? '[redacted]' : value
}
