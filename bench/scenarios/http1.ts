import { closedLoop } from '../load/wrk.ts'
import { nginx } from '../peers/nginx.ts'
import type { Scenario } from '../scenario.ts'
import { BARE_NODE, ENVOY, envoyJwt, HAPROXY, HAPROXY_JWT, hauberkIdentity, hauberkJwt, LOAD_FIGURES } from './rows.ts'

/** HTTP/1.1 kept alive, mutual TLS in, plaintext to the application, 1 KB. */
export const http1: Scenario = {
  name: 'http1',
  title: 'HTTP/1.1 keep-alive, mTLS in, plaintext out, 1 KB',
  work: closedLoop({ connections: 32, path: '/orders/1' }),
  figures: LOAD_FIGURES,
  reference: 'haproxy',
  contestants: [
    HAPROXY,
    { name: 'nginx', title: 'nginx, mTLS', peer: nginx(), tokens: 0, refuses: [] },
    BARE_NODE,
    hauberkIdentity(),
    hauberkJwt(1),
    hauberkJwt(2_000),
    ENVOY,
    envoyJwt(1),
    envoyJwt(2_000),
    HAPROXY_JWT,
  ],
  ours: (build) => [hauberkIdentity(build), hauberkJwt(1, build), hauberkJwt(2_000, build)],
  goals: [
    { contestant: 'hauberk', against: 'haproxy', needed: 1.5, goal: 1.25 },
    { contestant: 'hauberk', against: 'envoy', needed: 0.9, goal: 0.65 },
    { contestant: 'hauberk-jwt', against: 'haproxy-jwt', needed: 0.5, goal: 0.33 },
    { contestant: 'hauberk-jwt-2000', against: 'haproxy-jwt', needed: 0.5, goal: 0.33 },
    { contestant: 'hauberk-jwt', against: 'envoy-jwt', needed: 0.9, goal: 0.65 },
    { contestant: 'hauberk-jwt-2000', against: 'envoy-jwt-2000', needed: 0.9, goal: 0.65 },
  ],
}
