import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathOf } from '../measure/programs.ts'
import { CLIENT_ID } from '../world/certificates.ts'
import { freePort, startProcess, untilListening } from '../world/process.ts'
import { AUDIENCE, ISSUER } from '../world/tokens.ts'
import type { World } from '../world/world.ts'
import type { Peer } from './peer.ts'

export interface EnvoyOptions {
  /** `jwt_authn` with its cache sized for the tokens, and a local rate limit. */
  readonly jwt?: boolean
  /** `grpc` is HTTP/2 to the application too. Default: `http1`. */
  readonly protocol?: 'http1' | 'http2' | 'grpc'
}

/** Verified tokens that it remembers: more than any contestant with a cache has in turn. */
const CACHED_TOKENS = 4_000

/**
 * Envoy with one worker: mutual TLS, RBAC by the SPIFFE ID in the certificate, and with `jwt` what our rows check of a token.
 * No access log, no tracing, no retries; the statistics that it always keeps. Its rate limit is one bucket for all, where ours
 * is one for each subject.
 */
export function envoy({ jwt = false, protocol = 'http1' }: EnvoyOptions = {}): Peer {
  return {
    programs: ['envoy'],
    async start(world, directory) {
      const port = await freePort()
      const config = join(directory, 'envoy.json')
      await writeFile(config, JSON.stringify(await bootstrap(world, port, jwt, protocol), undefined, 2), {
        mode: 0o600,
      })
      const child = await startProcess(
        [
          ...[pathOf('envoy'), '-c', config, '--concurrency', '1', '--log-level', 'warning'],
          ...['--base-id', String(baseId++), '--disable-hot-restart'],
        ],
        { core: world.cores.proxy, logFile: join(directory, 'envoy.log') },
      )
      await untilListening(port, child)
      return { pids: [child.pid], port, stop: child.stop }
    },
  }
}

let baseId = 1

async function bootstrap(world: World, port: number, jwt: boolean, protocol: 'http1' | 'http2' | 'grpc') {
  const { server, root } = world.certificates
  const manager = {
    '@type': `${HTTP}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'mesh',
    codec_type: protocol === 'http1' ? 'HTTP1' : 'HTTP2',
    generate_request_id: false,
    route_config: { virtual_hosts: [{ name: 'app', domains: ['*'], routes: routes(jwt) }] },
    http_filters: [
      ...(jwt ? [jwtFilter(world), limitFilter()] : []),
      rbacFilter(),
      { name: 'router', typed_config: { '@type': `${HTTP}.http.router.v3.Router`, suppress_envoy_headers: true } },
    ],
  }
  const tls = {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
    require_client_certificate: true,
    disable_stateless_session_resumption: true,
    disable_stateful_session_resumption: true,
    common_tls_context: {
      alpn_protocols: protocol === 'http1' ? ['hauberk/http1', 'http/1.1'] : ['h2'],
      tls_params: {
        tls_minimum_protocol_version: 'TLSv1_3',
        tls_maximum_protocol_version: 'TLSv1_3',
        ecdh_curves: ['X25519', 'P-256'],
      },
      tls_certificates: [
        { certificate_chain: { inline_string: server.chain }, private_key: { inline_string: server.privateKey } },
      ],
      validation_context: { trusted_ca: { inline_string: root } },
    },
  }
  return {
    static_resources: {
      listeners: [
        {
          name: 'mesh',
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [
            {
              filters: [{ name: 'http', typed_config: manager }],
              transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: tls },
            },
          ],
        },
      ],
      clusters: [cluster(protocol === 'grpc' ? (await world.grpc()).port : world.backend.port, protocol === 'grpc')],
    },
    // Without it Envoy warns of a bound that it does not have.
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
            max_active_downstream_connections: 20_000,
          },
        },
      ],
    },
  }
}

const HTTP = 'type.googleapis.com/envoy.extensions.filters'

function routes(jwt: boolean) {
  const app = { cluster: 'app', timeout: '60s' }
  if (!jwt) return [{ match: { prefix: '/' }, route: app }]
  const once = limit(1, '3600s')
  return [
    { match: { path: '/limited' }, route: app, typed_per_filter_config: { limit: once } },
    { match: { prefix: '/' }, route: app },
  ]
}

/** One caller, and what it may do. */
function rbacFilter() {
  return {
    name: 'rbac',
    typed_config: {
      '@type': `${HTTP}.http.rbac.v3.RBAC`,
      rules: {
        action: 'ALLOW',
        policies: {
          'client-reads': {
            permissions: [
              {
                or_rules: {
                  rules: ['GET', 'POST'].map((method) => ({
                    header: { name: ':method', string_match: { exact: method } },
                  })),
                },
              },
            ],
            principals: [{ authenticated: { principal_name: { exact: CLIENT_ID } } }],
          },
        },
      },
    },
  }
}

function jwtFilter({ tokens }: World) {
  return {
    name: 'jwt',
    typed_config: {
      '@type': `${HTTP}.http.jwt_authn.v3.JwtAuthentication`,
      providers: {
        bench: {
          issuer: ISSUER,
          audiences: [AUDIENCE],
          local_jwks: { inline_string: JSON.stringify({ keys: [tokens.publicJwk] }) },
          forward: true,
          jwt_cache_config: { jwt_cache_size: CACHED_TOKENS },
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'bench' } }],
    },
  }
}

function limitFilter() {
  return { name: 'limit', typed_config: limit(1_000_000, '1s') }
}

function limit(requests: number, per: string) {
  const all = { default_value: { numerator: 100, denominator: 'HUNDRED' } }
  return {
    '@type': `${HTTP}.http.local_ratelimit.v3.LocalRateLimit`,
    stat_prefix: 'limit',
    rate_limited_as_resource_exhausted: true,
    token_bucket: { max_tokens: requests, tokens_per_fill: requests, fill_interval: per },
    filter_enabled: all,
    filter_enforced: all,
  }
}

function cluster(port: number, http2: boolean) {
  return {
    name: 'app',
    type: 'STATIC',
    circuit_breakers: {
      thresholds: [{ max_connections: 4_096, max_pending_requests: 4_096, max_requests: 4_096 }],
    },
    ...(http2 && {
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
    }),
    load_assignment: {
      cluster_name: 'app',
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] },
      ],
    },
  }
}
