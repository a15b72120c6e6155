/**
 * Where the things that a WorkloadConfig names are found on this machine.
 *
 * A config speaks of container ports and of listeners of a Gateway; it is the same on a laptop and in a pod. Here each of
 * them has an address of its own on loopback. In a pod nothing but a gateway's listeners is placed: the original
 * destination of a captured connection says what it is for (`DataPlaneOptions.capture`). The rest of the data plane sees
 * an {@link HttpSite} either way.
 */
export interface Placement {
  /** Ports of the workload, behind this sidecar. */
  readonly inbound: readonly InboundPlace[]
  /** Listeners of the Gateway that this process is. */
  readonly gateway: readonly GatewayPlace[]
  /** The forward proxy for the workload's own calls. */
  readonly proxy?: ProxyPlace
  /** Services of opaque TCP that the workload calls, each on a port of its own. */
  readonly tcp: readonly TcpPlace[]
}

/** Port 0 is any free port; the data plane tells which one it was given. */
export interface BindAddress {
  /** An IP literal. */
  readonly host: string
  readonly port: number
}

/** Where the application listens, in plaintext. */
export type AppAddress = BindAddress | { readonly unixSocket: string }

export interface InboundPlace {
  /** `InboundListener.port` of the config. */
  readonly containerPort: number
  readonly bind: BindAddress
  readonly app: AppAddress
}

export interface GatewayPlace {
  /** `GatewayListener.name` of the config. */
  readonly listener: string
  readonly bind: BindAddress
  /** The port that clients dial, for `Location`. Default: the one that was bound. */
  readonly visiblePort?: number
}

export interface ProxyPlace {
  readonly bind: BindAddress
  /** What `Proxy-Authorization: Basic` must say; without it 407 (T35). The password is random and at least 128 bits. */
  readonly credential: { readonly username: string; readonly password: string }
}

export interface TcpPlace {
  /** `OutboundService.upstream` of the config: `shop/orders-db:5432`. */
  readonly upstream: string
  readonly bind: BindAddress
}
