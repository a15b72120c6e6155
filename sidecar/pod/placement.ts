import { gatewayBindPort, SELF_ADDRESS } from '../../contract/pod.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'
import type { CapturePlace } from '../capture/capture.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import type { GatewayPlace, Placement } from '../serve/placement.ts'
import type { PodOptions } from './options.ts'

/**
 * Where the listeners of a gateway are in its pod: on the pod's own addresses. Read anew for each configuration, so that a
 * new listener needs no new pod. A sidecar has none: what comes is captured.
 */
export function podPlacement(
  { told, podIps }: Pick<PodOptions, 'told' | 'podIps'>,
  pipeline: () => Pipeline | undefined,
): Placement {
  const host = podIps.some((ip) => readIpAddress(ip)?.version === 6) ? '::' : '0.0.0.0'
  return {
    inbound: [],
    tcp: [],
    get gateway(): readonly GatewayPlace[] {
      if (told.role !== 'gateway') return []
      const { gateway, streams } = pipeline() ?? NOTHING
      return [...gateway.values(), ...streams.values()].map(({ listener: { name, port } }) => ({
        listener: name,
        bind: { host, port: gatewayBindPort(port) },
        visiblePort: port,
      }))
    },
  }
}

const NOTHING: Pick<Pipeline, 'gateway' | 'streams'> = { gateway: new Map(), streams: new Map() }

/** Where captured connections arrive: those from outside at any address, the pod's own on loopback. */
export function capturePlace({ podIps, ports }: Pick<PodOptions, 'podIps' | 'ports'>): CapturePlace {
  return {
    podIps,
    inbound: ['0.0.0.0', '::'].map((host) => ({ host, port: ports.inbound })),
    outbound: ['127.0.0.1', '::1'].map((host) => ({ host, port: ports.outbound })),
    self: SELF_ADDRESS,
  }
}
