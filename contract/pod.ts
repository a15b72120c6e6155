import * as v from 'valibot'
import { parseCidr } from '../model/match/cidr.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../model/spiffe-id.ts'
import { parseWorkloadId, type WorkloadId } from '../model/workload-id.ts'

/**
 * What the sidecar and whoever puts it into a pod agree upon: names, ports, paths, and the one variable that tells the
 * sidecar everything about its pod. The injector and the gateway controller write it, the sidecar reads it.
 */

/** The native sidecar: an init container with `restartPolicy: Always`. */
export const SIDECAR_CONTAINER = 'hauberk-sidecar'
/** The init container that programs the capture of traffic, and checks that it works. */
export const INIT_CONTAINER = 'hauberk-init'

/**
 * User and group of the sidecar, nobody else's: what this user sends is not captured. Not 1000, 1337 or 65532, which
 * images have as their USER.
 */
export const SIDECAR_UID = 15_013

/** Ports of the sidecar in its pod. No container of a meshed pod may declare one of them. */
export const PORTS = {
  /** Loopback, with a token. */
  admin: 15_000,
  /** Where captured outgoing connections arrive. Loopback. */
  outbound: 15_001,
  /** Where captured incoming connections arrive. */
  inbound: 15_006,
  /** Plain HTTP: the app's probes under their own paths, and the sidecar's own. */
  probes: 15_020,
  /** Metrics only, mutual TLS. */
  metrics: 15_090,
} as const

/**
 * Where the sidecar dials its own pod through its own inbound policy: a pod that calls its own Service may be answered by
 * itself. Only from the sidecar's user, this address at any port leads to `PORTS.inbound`, and the original destination is
 * this address with that port. Every pod's loopback interface has it, whichever families the cluster gives.
 */
export const SELF_ADDRESS = '127.0.0.6'

/** Threads that serve, of one sidecar or gateway at most. */
export const MAX_WORKERS = 16

/** The audience of the projected service-account token, and the only one that the operator has reviewed. */
export const TOKEN_AUDIENCE = 'hauberk.dev/operator'

/** In each namespace with meshed pods; its key `ca.crt` holds the roots of the mesh, PEM. */
export const TRUST_ANCHORS_CONFIG_MAP = 'hauberk-trust-anchors'
export const TRUST_ANCHORS_KEY = 'ca.crt'

/** Paths in the sidecar's container. */
export const PATHS = {
  /** The projected volume with `token` and `ca.crt`. */
  credentials: '/var/run/secrets/hauberk.dev',
  token: '/var/run/secrets/hauberk.dev/token',
  trustAnchors: '/var/run/secrets/hauberk.dev/ca.crt',
  /** An emptyDir of medium Memory that no other container mounts: key, certificate, last good configuration. */
  state: '/var/lib/hauberk',
  /** The volume of the pod's own that asks for keystores, if there is one. */
  keystores: '/var/lib/hauberk-keystores',
} as const

/** Variables of the sidecar's container and of the init container. All but the first come from the downward API. */
export const POD_ENV = {
  /** {@link PodSidecar} as JSON. */
  sidecar: 'HAUBERK_SIDECAR',
  podName: 'POD_NAME',
  podNamespace: 'POD_NAMESPACE',
  podUid: 'POD_UID',
  /** `status.podIPs`: comma-separated, the primary address first. */
  podIps: 'POD_IPS',
  nodeName: 'NODE_NAME',
} as const

/** Bytes of {@link PodSidecar} as JSON at most: Linux starts no program with a variable of 128 KiB or more, its name included. */
export const MAX_POD_SIDECAR_BYTES = 130_000

/** The sidecar's own probes on `PORTS.probes`; they need no key. */
export const READY_PATH = '/readyz'
export const LIVE_PATH = '/livez'

/**
 * The sidecar's own preStop hook on `PORTS.probes`, with the key: the pod is being deleted. The kubelet runs it when it
 * runs the app's, long before the sidecar itself is told to end.
 */
export const DRAIN_PATH = '/drain'

/**
 * The header that a request to the probe port must carry {@link PodSidecar}'s `probeKey` in. Whoever is on the pod network
 * reaches that port, and through it would start an app's preStop hook; the kubelet sends what the pod's spec says.
 */
export const PROBE_KEY_HEADER = 'x-hauberk-probe-key'

export type ProbeKind = 'startup' | 'readiness' | 'liveness' | 'postStart' | 'preStop'

/** Seconds that a probe or hook may take at most. */
export const MAX_PROBE_SECONDS = 86_400

/** Where the kubelet is sent instead of to the app: on `PORTS.probes`, by GET, with the key. */
export function probePath(container: string, kind: ProbeKind): string {
  return `/app-health/${container}/${kind}`
}

/** The version of {@link PodSidecar}, and the value of the annotation that marks an injected pod. */
export const POD_CONTRACT_VERSION = 1

const OWN_PORTS: ReadonlySet<number> = new Set(Object.values(PORTS))

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))
const excludedPorts = v.pipe(
  v.array(
    v.pipe(
      port,
      v.check((number) => !OWN_PORTS.has(number), 'is a port of the sidecar itself'),
    ),
  ),
  v.maxLength(256),
)
const text = v.pipe(v.string(), v.maxLength(4_096))
const label = v.pipe(v.string(), v.regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'is not an RFC 1123 label'))
const spiffeId = v.pipe(
  v.string(),
  v.check((id) => parseSpiffeId(id).ok, 'is not a SPIFFE ID'),
  v.transform((id) => id as SpiffeId),
)
const cidr = v.pipe(
  v.string(),
  v.check((block) => parseCidr(block).ok, 'is not a block of IP addresses'),
)
/** A field name and a value as HTTP takes them (RFC 9110, 5.1 and 5.5): what a probe sends is not to be split by them. */
const httpHeader = v.strictObject({
  name: v.pipe(text, v.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is not a field name')),
  value: v.pipe(text, v.regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'is not a field value')),
})
/** The path of a request, with its query, as the pod's author wrote it. */
const requestPath = v.pipe(text, v.regex(/^\/[\x21-\x7e]*$/, 'is not the path of a request'))

/**
 * A probe or hook of one of the pod's containers, as the sidecar performs it at the pod's first address: ports are
 * numbers by now. A probe that names a `host` is not sent to the pod and is left as it is.
 */
export const AppProbe = v.strictObject({
  container: label,
  kind: v.picklist(['startup', 'readiness', 'liveness', 'postStart', 'preStop']),
  /** Hooks can only be this. */
  httpGet: v.exactOptional(
    v.strictObject({
      path: requestPath,
      port,
      scheme: v.picklist(['HTTP', 'HTTPS']),
      httpHeaders: v.pipe(v.array(httpHeader), v.maxLength(64)),
    }),
  ),
  tcpSocket: v.exactOptional(v.strictObject({ port })),
  grpc: v.exactOptional(v.strictObject({ port, service: text })),
  /** As the kubelet is told; hooks have no timeout of their own and are given the pod's grace period. */
  timeoutSeconds: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_PROBE_SECONDS)),
})
export type AppProbe = v.InferOutput<typeof AppProbe>

/** What the sidecar of a pod, or a gateway's pod, is told. Holds no secret but the probe key, which is the pod's own. */
export const PodSidecar = v.pipe(
  v.strictObject({
    contract: v.literal(POD_CONTRACT_VERSION),
    /** `namespace/name`: whose configuration it asks for. */
    workload: v.pipe(
      v.string(),
      v.check((id) => parseWorkloadId(id).ok, 'is not namespace/name'),
      v.transform((id) => id as WorkloadId),
    ),
    role: v.picklist(['sidecar', 'gateway']),
    trustDomain: v.pipe(
      v.string(),
      v.check((name) => parseTrustDomain(name).ok, 'is not a trust domain'),
      v.transform((name) => name as TrustDomain),
    ),
    /** Of the pod; with the pod's namespace it makes the SPIFFE ID. */
    serviceAccount: v.pipe(v.string(), v.minLength(1), v.maxLength(253)),
    operator: v.strictObject({ host: v.pipe(v.string(), v.minLength(1), v.maxLength(253)), port, spiffeId }),
    /** At least 128 random bits in base64url, of this pod or its template alone. Absent: there are neither probes nor hooks. */
    probeKey: v.exactOptional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22,128}$/, 'is not a key'))),
    probes: v.pipe(
      v.array(
        v.pipe(
          AppProbe,
          v.check(({ httpGet, tcpSocket, grpc }) => handlers(httpGet, tcpSocket, grpc) === 1, 'has not one handler'),
          v.check(({ kind, httpGet }) => !isHook(kind) || httpGet !== undefined, 'is a hook without httpGet'),
        ),
      ),
      v.maxLength(256),
    ),
    /** What is not captured. Everything else is. */
    exclude: v.strictObject({
      inboundPorts: excludedPorts,
      outboundPorts: excludedPorts,
      outboundCidrs: v.pipe(v.array(cidr), v.maxLength(256)),
    }),
    metrics: v.strictObject({
      /** Who may read them. With nobody, and without `plaintext`, `PORTS.metrics` is not opened. */
      allow: v.pipe(v.array(spiffeId), v.maxLength(64)),
      /** Anybody may, without TLS. */
      plaintext: v.boolean(),
    }),
    /** Threads that serve. Absent: one. */
    workers: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_WORKERS))),
    /** Whether the identity is written to `PATHS.keystores`, for the app. Absent: it is not. */
    keystores: v.exactOptional(v.literal(true)),
    /** Seconds that requests in flight are given at the end. */
    drainSeconds: v.pipe(v.number(), v.minValue(0), v.maxValue(3_600)),
    decisionLog: v.picklist(['all', 'denied', 'off']),
    logLevel: v.picklist(['debug', 'info', 'warn', 'error', 'silent']),
  }),
  v.check(({ probes, probeKey }) => probes.length === 0 || probeKey !== undefined, 'has probes and no probeKey'),
  v.check(
    ({ probes }) => new Set(probes.map(({ container, kind }) => probePath(container, kind))).size === probes.length,
    'has one probe twice',
  ),
)
export type PodSidecar = v.InferOutput<typeof PodSidecar>

/** Port that a gateway's pod binds for a listener's port: low ones would want a capability, or a setting of the node. */
export function gatewayBindPort(listenerPort: number): number {
  return listenerPort >= 1_024 ? listenerPort : 10_000 + listenerPort
}

export function isHook(kind: ProbeKind): kind is 'postStart' | 'preStop' {
  return kind === 'postStart' || kind === 'preStop'
}

function handlers(...given: readonly unknown[]): number {
  return given.filter((handler) => handler !== undefined).length
}
