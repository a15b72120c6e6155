import * as v from 'valibot'
import { Delivery, Mirror, Session, UpstreamTraffic } from './traffic.ts'

/** The version of these documents that this program writes. A sidecar says its own in its hello; the operator encodes for it. */
export const CONTRACT_VERSION = 3

/** Every version that is read and can be encoded for. Words that the first does not have are marked "since 2" or "since 3". */
export const CONTRACT_VERSIONS = [1, 2, 3] as const
export type ContractVersion = (typeof CONTRACT_VERSIONS)[number]

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535))
const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(86_400_000))
const headerPair = v.strictTuple([v.string(), v.string()])

/**
 * One combination of policies for one filter on one route. At most two a filter: what is enforced, and what would be
 * if the dry-run policies were enforced too.
 */
export const FilterSlot = v.variant('state', [
  v.strictObject({
    state: v.literal('resolved'),
    mode: v.picklist(['enforce', 'dry-run']),
    /** `namespace/name@generation` of every policy that the config came from. */
    origins: v.array(v.string()),
    /** The filter's own; its `decode` reads it. */
    config: v.unknown(),
  }),
  v.strictObject({
    /** A reference of an enforced policy does not resolve: the route refuses and names the policy. */
    state: v.literal('unresolved'),
    mode: v.picklist(['enforce', 'dry-run']),
    origins: v.array(v.string()),
    reason: v.string(),
  }),
])
export type FilterSlot = v.InferOutput<typeof FilterSlot>

/** By filter name. */
export const FilterSlots = v.record(v.string(), v.pipe(v.array(FilterSlot), v.minLength(1), v.maxLength(2)))
export type FilterSlots = v.InferOutput<typeof FilterSlots>

/** Header edits of RequestHeaderModifier and ResponseHeaderModifier: remove, then set, then add. Names in lower case. */
export const HeaderEdits = v.strictObject({
  set: v.array(headerPair),
  add: v.array(headerPair),
  remove: v.array(v.string()),
})
export type HeaderEdits = v.InferOutput<typeof HeaderEdits>

export const PathRewrite = v.variant('kind', [
  v.strictObject({ kind: v.literal('full'), path: v.string() }),
  /** Replaces the prefix that the route matched. */
  v.strictObject({ kind: v.literal('prefix'), path: v.string() }),
])
export type PathRewrite = v.InferOutput<typeof PathRewrite>

const valueMatch = v.strictObject({
  type: v.picklist(['exact', 'regex', 'present']),
  name: v.string(),
  value: v.string(),
})

export const RouteMatch = v.strictObject({
  /** Lower case; `*.example.com` matches one label or more; empty matches every host. */
  hostnames: v.array(v.string()),
  /** `grpc-method`: every path of two segments of which the second is `value`; a method of gRPC, whatever the service. Since 3. */
  path: v.strictObject({ type: v.picklist(['exact', 'prefix', 'grpc-method']), value: v.string() }),
  method: v.optional(v.string()),
  /** Names in lower case. */
  headers: v.array(valueMatch),
  query: v.array(valueMatch),
})
export type RouteMatch = v.InferOutput<typeof RouteMatch>

/** One of several that the requests or connections of a route are for, each as often as its weight says. */
export const Backend = v.strictObject({
  /**
   * Name of an upstream. Empty: a reference that does not resolve; its share of the requests is answered 500 (Gateway API), its
   * share of the connections is closed.
   */
  upstream: v.string(),
  weight: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1_000_000)),
})
export type Backend = v.InferOutput<typeof Backend>

export const RouteAction = v.variant('kind', [
  /** To the workload's own container port (inbound listeners). */
  v.strictObject({ kind: v.literal('app'), port, requestTimeoutMs: milliseconds }),
  v.strictObject({
    kind: v.literal('forward'),
    backends: v.pipe(v.array(Backend), v.minLength(1), v.maxLength(16)),
    rewritePath: v.optional(PathRewrite),
    rewriteHost: v.optional(v.string()),
    /** 0 is no limit. Holds where neither `delivery` nor the upstream's own says one. */
    requestTimeoutMs: milliseconds,
    /** What the route itself says; it goes before what the upstream's `traffic` says. Since 3. */
    delivery: v.optional(Delivery),
    /** Since 3. */
    mirrors: v.optional(v.pipe(v.array(Mirror), v.maxLength(16))),
    /** Since 3. */
    session: v.optional(Session),
  }),
  v.strictObject({
    kind: v.literal('redirect'),
    status: v.picklist([301, 302, 303, 307, 308]),
    scheme: v.optional(v.picklist(['http', 'https'])),
    host: v.optional(v.string()),
    /** The port in `Location`; absent: the request's own where the scheme stays, none where it changes. */
    port: v.optional(port),
    rewritePath: v.optional(PathRewrite),
  }),
  v.strictObject({
    kind: v.literal('respond'),
    status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
  }),
])
export type RouteAction = v.InferOutput<typeof RouteAction>

export const RouteConfig = v.strictObject({
  /** For logs and `explain`: `HTTPRoute/shop/orders/0/1`, or `Service/shop/orders:80`. */
  id: v.string(),
  match: RouteMatch,
  filters: FilterSlots,
  requestHeaders: v.optional(HeaderEdits),
  responseHeaders: v.optional(HeaderEdits),
  action: RouteAction,
})
export type RouteConfig = v.InferOutput<typeof RouteConfig>

/**
 * What an application speaks behind `protocol: http`: HTTP/2 with prior knowledge, whatever its callers speak. Absent: HTTP/1.1.
 * To sidecars before version 3 such a port is opaque TCP. Since 3.
 */
export const AppProtocol = v.literal('http2')

/** `Strict`: mTLS only. `Permissive`: plaintext too, counted. `Disabled`: plaintext only. */
export const MtlsMode = v.picklist(['Strict', 'Permissive', 'Disabled'])
export type MtlsMode = v.InferOutput<typeof MtlsMode>

/** A port of the workload behind its sidecar. `port` is the container's; where it is really bound is the placement's concern. */
export const InboundListener = v.strictObject({
  kind: v.literal('inbound'),
  port,
  protocol: v.picklist(['http', 'tcp']),
  appProtocol: v.optional(AppProtocol),
  mtls: MtlsMode,
  /** http: in order of precedence; the first match wins. */
  routes: v.array(RouteConfig),
  /** tcp (and `appProtocol`, for those to whom that is tcp): judged once a connection, and again when the policy changes. */
  filters: FilterSlots,
})
export type InboundListener = v.InferOutput<typeof InboundListener>

export const ListenerCertificate = v.variant('source', [
  /** The gateway asks the mesh's CA for one, by CSR; the operator takes the names from the Gateway resource. */
  v.strictObject({ source: v.literal('mesh'), hostname: v.string() }),
  v.strictObject({ source: v.literal('secret'), name: v.string(), certificate: v.string(), privateKey: v.string() }),
])
export type ListenerCertificate = v.InferOutput<typeof ListenerCertificate>

export const GatewayListener = v.strictObject({
  kind: v.literal('gateway'),
  /** `sectionName` of the Gateway's listener. */
  name: v.string(),
  port,
  protocol: v.picklist(['http', 'https']),
  /** Lower case; absent matches every host. A request for another host gets 404, or 421 over TLS. */
  hostname: v.optional(v.string()),
  certificates: v.array(ListenerCertificate),
  routes: v.array(RouteConfig),
})
export type GatewayListener = v.InferOutput<typeof GatewayListener>

/**
 * HTTPRoutes or GRPCRoutes at a port of a Service, as the calls of this workload are to keep to them. A request that none of them is for is
 * answered 404.
 */
export const ServiceRouting = v.strictObject({
  /** `HTTPRoute/namespace/name@generation` of each. */
  origins: v.array(v.string()),
  /** In order of precedence; the first match wins. */
  routes: v.array(RouteConfig),
})
export type ServiceRouting = v.InferOutput<typeof ServiceRouting>

/** Where the connections of a stream listener go that name one of its hosts. Since 3. */
export const StreamRoute = v.strictObject({
  /** For logs and `explain`: `TLSRoute/shop/orders/0`. */
  id: v.string(),
  /** `TLSRoute/namespace/name@generation`. */
  origin: v.string(),
  /** Lower case; `*.example.com` matches one label or more; empty matches every name, and none. */
  hostnames: v.array(v.string()),
  /** Judged once a connection, and again when the policy changes. */
  filters: FilterSlots,
  /** Where none has a weight, connections are closed. */
  backends: v.pipe(v.array(Backend), v.maxLength(16)),
})
export type StreamRoute = v.InferOutput<typeof StreamRoute>

/**
 * A listener of a Gateway whose connections are carried as bytes. `tls`: by the name that the client asks for (SNI), as they are
 * (`passthrough`) or with their TLS ended here (`terminate`). `tcp`: all to one route. Several `tls` listeners share a port.
 * Gateways before version 3 do not have it, and do not open its port. Since 3.
 */
export const StreamListener = v.strictObject({
  /** `sectionName` of the Gateway's listener. */
  name: v.string(),
  port,
  protocol: v.picklist(['tls', 'tcp']),
  /** tls only. */
  mode: v.optional(v.picklist(['passthrough', 'terminate'])),
  /** tls only. Lower case; absent matches every name, and none. */
  hostname: v.optional(v.string()),
  /** `terminate` only. */
  certificates: v.array(ListenerCertificate),
  /** Of two that have a hostname in common the first one counts there. */
  routes: v.array(StreamRoute),
})
export type StreamListener = v.InferOutput<typeof StreamListener>

/** A Service that this workload may call. */
export const OutboundService = v.strictObject({
  service: v.string(),
  /** Every name that it goes by for this workload, lower case: `orders`, `orders.shop`, `orders.shop.svc`, `orders.shop.svc.cluster.local`. */
  hosts: v.array(v.string()),
  /**
   * Its own addresses, IP literals: a captured connection to one of them at `port` is for it. Absent: it has none (then its
   * endpoints' addresses are dialled), or nobody said. Since 2.
   */
  addresses: v.optional(v.pipe(v.array(v.string()), v.maxLength(8))),
  port,
  protocol: v.picklist(['http', 'tcp']),
  appProtocol: v.optional(AppProtocol),
  upstream: v.string(),
  requestTimeoutMs: milliseconds,
  /** Requests go where it says, and not to `upstream`; connections to one of the Service's endpoints go there. Since 3. */
  routing: v.optional(ServiceRouting),
})
export type OutboundService = v.InferOutput<typeof OutboundService>

/** A destination outside the mesh that MeshConfig `egress` names. */
export const EgressRule = v.strictObject({
  name: v.string(),
  /** Lower case, `*.` allowed at the front. Exactly one of `host`, `cidr` and `address`. */
  host: v.optional(v.string()),
  cidr: v.optional(v.string()),
  /**
   * Of a Service in the cluster that the egress list names and that no workload of the mesh serves, such as the API server's:
   * the operator vouches for it, whatever `EndpointsDocument.meshed` holds. Since 2.
   */
  address: v.optional(v.string()),
  ports: v.array(port),
})
export type EgressRule = v.InferOutput<typeof EgressRule>

/** A group of endpoints that serve one port of a Service; the endpoints themselves are a document of their own. */
export const Upstream = v.strictObject({
  service: v.string(),
  port,
  protocol: v.picklist(['http', 'tcp']),
  appProtocol: v.optional(AppProtocol),
  /**
   * `mesh`: mTLS, and the peer must show one of `spiffeIds`. `plaintext`: no meshed pod serves it and policy allows it. `https`:
   * outside of the mesh, where `host` leads and shows a certificate of the public web for it; it has no endpoints. Since 3.
   */
  tls: v.picklist(['mesh', 'plaintext', 'https']),
  /** `https` only: a name, or an IP literal without brackets. Since 3. */
  host: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(253))),
  spiffeIds: v.array(v.string()),
  /** What its TrafficPolicies come to. Since 3. */
  traffic: v.optional(UpstreamTraffic),
})
export type Upstream = v.InferOutput<typeof Upstream>

/** How traces of requests are kept. Since 3. */
export const TraceConfig = v.strictObject({
  /** What part of the traces that begin here is recorded, from 0 to 1; what began elsewhere in the mesh is recorded if it was there. */
  samplingRatio: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
  /** Whom spans are sent to, by OTLP over HTTP. Absent: nothing is recorded, and traces are passed on. */
  collector: v.optional(
    v.strictObject({
      /** Of `upstreams`. */
      upstream: v.string(),
      /** `Host`, with its port where that is another one than 80. */
      host: v.string(),
      /** Such as `/v1/traces`. */
      path: v.string(),
    }),
  ),
})
export type TraceConfig = v.InferOutput<typeof TraceConfig>

/** All that one workload's sidecar (or one gateway) obeys. Plain JSON; `version` is a hash of the rest. */
export const WorkloadConfig = v.strictObject({
  contract: v.picklist(CONTRACT_VERSIONS),
  version: v.string(),
  /** `namespace/name` of the workload. */
  workload: v.string(),
  role: v.picklist(['sidecar', 'gateway']),
  identity: v.strictObject({ spiffeId: v.string(), trustDomain: v.string() }),
  /** PEM certificates of the roots to trust. */
  trustBundle: v.array(v.string()),
  /**
   * Fingerprints (SHA-256, lower-case hex) of roots that are not to be trusted any more, whatever else says so. Connections
   * that are open by their leave are cut. A root that is only out of the bundle is no reason to cut any. Since 2.
   */
  distrustedRoots: v.optional(v.pipe(v.array(v.string()), v.maxLength(64))),
  /** How many `X-Forwarded-For` entries from the right were written by proxies of the operator's own. */
  trustedHops: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(16)),
  listeners: v.array(v.variant('kind', [InboundListener, GatewayListener])),
  /** Absent: nobody asks of which trace a request is, and headers that say so are passed on like any other. Since 3. */
  trace: v.optional(TraceConfig),
  /** Where limits are counted that all replicas share, a Redis. Absent: each replica has its share of them. Since 3. */
  limitStore: v.optional(
    v.strictObject({
      /** Of `upstreams`: mesh TLS, opaque bytes. */
      upstream: v.string(),
    }),
  ),
  /** Of a gateway: listeners whose connections are carried as bytes. No name is that of one of `listeners` too. Since 3. */
  streams: v.optional(v.pipe(v.array(StreamListener), v.maxLength(64))),
  outbound: v.strictObject({
    services: v.array(OutboundService),
    egress: v.array(EgressRule),
    /** Asked about each HTTP request of the workload to a Service by mesh TLS. Absent: none. Since 3. */
    filters: v.optional(FilterSlots),
  }),
  /** By name: `shop/orders:80`. */
  upstreams: v.record(v.string(), Upstream),
})
export type WorkloadConfig = v.InferOutput<typeof WorkloadConfig>
