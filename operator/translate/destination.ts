import { upstreamName } from './services.ts'
import type { Translation } from './translate.ts'

/** A port of a Service of the mesh: where it is served, and what whoever serves it must prove. */
export interface Destination {
  readonly endpoints: readonly { readonly address: string; readonly port: number }[]
  readonly spiffeIds: readonly string[]
}

/**
 * The Service that a host and port name for a caller that is in no namespace: `orders.shop`, `orders.shop.svc` or
 * `orders.shop.svc.cluster.local`. Undefined when they name none; without endpoints when nobody serves it now.
 */
export function destinationOf(translation: Translation, host: string, port: number): Destination | undefined {
  const [name, namespace] = /^([^.]+)\.([^.]+)(?:\.svc(?:\.cluster\.local)?)?$/.exec(host.toLowerCase())?.slice(1) ?? []
  if (name === undefined || namespace === undefined) return undefined
  const facts = translation.memory.namespaces?.facts.get(namespace)
  const found = facts?.services.find((service) => service.name === name)?.ports.find((one) => one.port === port)
  if (facts === undefined || found === undefined) return undefined
  const endpoints = facts.endpoints.get(upstreamName(namespace, name, port))?.meshed ?? []
  return { endpoints, spiffeIds: found.spiffeIds }
}
