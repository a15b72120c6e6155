import type { Capture } from '../serve/data-plane.ts'
import type { BindAddress } from '../serve/placement.ts'
import { type OriginalDestination, oneSpelling } from './destination.ts'
import { createCapturedInboundPort } from './inbound-port.ts'
import { createNames, type Lookup } from './names.ts'
import { createCapturedOutboundPort } from './outbound-port.ts'

/** Where the connections that the kernel redirects arrive. */
export interface CapturePlace {
  /** The pod's addresses: what is for another is not served (T10). */
  readonly podIps: readonly string[]
  /** Whichever port of the pod they are for. An address of a family that the machine does not have is left out. */
  readonly inbound: readonly BindAddress[]
  /** Wherever they were going. */
  readonly outbound: readonly BindAddress[]
  /** An address at which the sidecar, and nobody else, reaches its own inbound ports, each by its number. */
  readonly self: string
}

export interface CaptureOptions extends CapturePlace {
  readonly originalDestination: OriginalDestination
  /** DNS, for the hosts that the egress list names. Default: the resolver of this machine. */
  readonly lookup?: Lookup
  /** The servers that the pod asks for names, on port 53. Default: those of this machine (resolv.conf). */
  readonly resolvers?: readonly string[]
}

/** The data path of a pod whose traffic is captured: for {@link DataPlaneOptions.capture}. */
export function createCapture(options: CaptureOptions): Capture {
  const podIps = new Set(options.podIps.map(oneSpelling))
  return {
    dialHost: (address) => (podIps.has(oneSpelling(address)) ? options.self : undefined),
    inboundPort: (engine, table) => createCapturedInboundPort(engine, table, options),
    outboundPort: (engine, table) =>
      createCapturedOutboundPort(engine, table, options, createNames(engine.clock, options.lookup)),
  }
}
