/** A Service port of opaque TCP, and where the app's own sidecar takes connections for it. */
export interface TcpPeer {
  /** Every name that the Service goes by for this app. */
  readonly hosts: readonly string[]
  readonly port: number
  readonly localPort: number
}

/** A path of the container, and the one that stands for it on this machine. */
export interface LocalPath {
  readonly mountPath: string
  readonly path: string
}

export interface AppEnvironmentOptions {
  /** The container's `env`. */
  readonly env: Readonly<Record<string, string>>
  /** `PATH`, `HOME`, `TZ` and `LANG` of whoever runs the mesh; nothing else of theirs. */
  readonly inherited: Readonly<Record<string, string>>
  /** Where the app listens; absent: it has no port. */
  readonly port?: number
  /** The sidecar's forward proxy, with the app's credential. */
  readonly proxy: string
  readonly mounts: readonly LocalPath[]
  readonly tcpPeers: readonly TcpPeer[]
}

/**
 * Hosts that are called without the proxy. In a pod loopback is the pod's own and is not captured; here it is at least
 * the same machine.
 */
const NO_PROXY = 'localhost,127.0.0.1,::1'

/**
 * The environment of an app: what its container says, with the paths and TCP peers of this machine, and what makes it
 * talk through its sidecar. What `hauberk` sets wins over what the container says.
 */
export function appEnvironment(options: AppEnvironmentOptions): Readonly<Record<string, string>> {
  const { env, inherited, port, proxy, mounts, tcpPeers } = options
  const replacePeers = peerReplacer(tcpPeers)
  const own = Object.entries(env).map(([name, value]) => [name, replacePeers(localPath(value, mounts))] as const)
  return {
    ...inherited,
    ...Object.fromEntries(own),
    HOST: '127.0.0.1',
    ...(port !== undefined && { PORT: String(port) }),
    HTTP_PROXY: proxy,
    // What leaves the mesh by TLS is for `egress` to allow, as it is in a pod.
    HTTPS_PROXY: proxy,
    NO_PROXY,
    // gRPC's libraries and curl look for these names only.
    http_proxy: proxy,
    https_proxy: proxy,
    no_proxy: NO_PROXY,
    NODE_USE_ENV_PROXY: '1',
  }
}

/** A value that is a mounted path, or a path below one. */
function localPath(value: string, mounts: readonly LocalPath[]): string {
  const found = mounts
    .filter(({ mountPath }) => value === mountPath || value.startsWith(mountPath === '/' ? '/' : `${mountPath}/`))
    .sort((a, b) => b.mountPath.length - a.mountPath.length)[0]
  if (found === undefined) return value
  return found.mountPath === '/' ? `${found.path}${value}` : found.path + value.slice(found.mountPath.length)
}

function peerReplacer(peers: readonly TcpPeer[]): (value: string) => string {
  const localPorts = new Map<string, number>(
    peers.flatMap(({ hosts, port, localPort }) => hosts.map((host) => [`${host}:${port}`, localPort] as const)),
  )
  if (localPorts.size === 0) return (value) => value
  // A whole host and a whole port: neither my-orders-db:5432 nor orders-db:54321 is orders-db:5432.
  return (value) =>
    value.replaceAll(/(?<![\w.-])([a-z0-9][a-z0-9.-]*:[0-9]{1,5})(?![0-9])/gi, (address) => {
      const localPort = localPorts.get(address.toLowerCase())
      return localPort === undefined ? address : `127.0.0.1:${localPort}`
    })
}
