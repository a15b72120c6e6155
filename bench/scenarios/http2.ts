import { http2Loop } from '../load/h2load.ts'
import { envoy } from '../peers/envoy.ts'
import { haproxy } from '../peers/haproxy.ts'
import { hauberk } from '../peers/hauberk.ts'
import { nginx } from '../peers/nginx.ts'
import type { Build, Contestant, Scenario } from '../scenario.ts'
import { ALL_REFUSALS, LOAD_FIGURES, MTLS_REFUSALS, namedFor } from './rows.ts'

const GOALS = [
  { contestant: 'hauberk-jwt', against: 'haproxy', needed: 1.8, goal: 1.4 },
  { contestant: 'hauberk-jwt', against: 'envoy-jwt', needed: 0.6, goal: 0.4 },
]

/** HTTP/2, 8 connections of 10 streams: every check of ours, beside a HAProxy that is asked for none. */
export const http2: Scenario = {
  name: 'http2',
  title: 'HTTP/2, 8 connections x 10 streams, mTLS in, HTTP/1.1 in plaintext out, 1 KB',
  work: http2Loop({ connections: 8, streams: 10, path: '/orders/1' }),
  figures: LOAD_FIGURES,
  reference: 'haproxy',
  contestants: [
    haproxyRow('http2'),
    { name: 'nginx', title: 'nginx, mTLS', peer: nginx({ http2: true }), tokens: 0, refuses: [] },
    hauberkRow('jwt-limit'),
    envoyRow('http2'),
  ],
  ours: (build) => [hauberkRow('jwt-limit', build)],
  goals: GOALS,
}

export const grpc: Scenario = {
  name: 'grpc',
  title: 'gRPC, unary calls with trailers, 8 connections x 10 streams, mTLS in, HTTP/2 in plaintext out, 256 B',
  work: http2Loop({ connections: 8, streams: 10, path: '/bench.Echo/Say', isGrpc: true }),
  figures: LOAD_FIGURES,
  reference: 'haproxy',
  contestants: [haproxyRow('grpc'), hauberkRow('grpc'), envoyRow('grpc')],
  ours: (build) => [hauberkRow('grpc', build)],
  goals: GOALS,
}

function haproxyRow(protocol: 'http2' | 'grpc'): Contestant {
  return { name: 'haproxy', title: 'HAProxy, mTLS', peer: haproxy({ protocol }), tokens: 0, refuses: MTLS_REFUSALS }
}

function envoyRow(protocol: 'http2' | 'grpc'): Contestant {
  return {
    name: 'envoy-jwt',
    title: 'Envoy, mTLS + RBAC + JWT (cached) + limit',
    peer: envoy({ jwt: true, protocol }),
    tokens: 1,
    refuses: ALL_REFUSALS,
  }
}

function hauberkRow(policy: 'jwt-limit' | 'grpc', build?: Build): Contestant {
  return {
    ...namedFor('hauberk-jwt', 'mTLS + ES256 JWT + limit', build),
    peer: hauberk({ policy, bundle: build?.directory }),
    tokens: 1,
    refuses: ALL_REFUSALS,
  }
}
