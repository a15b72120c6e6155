import { closedLoop } from '../load/wrk.ts'
import type { Scenario } from '../scenario.ts'
import { BARE_NODE, ENVOY, HAPROXY, hauberkIdentity, LOAD_FIGURES } from './rows.ts'

/** Full handshakes: nobody hands out tickets, and each connection carries one request. */
export const handshakes: Scenario = {
  name: 'handshakes',
  title: 'Full mTLS handshakes with a request of 1 KB each, 16 connections at once',
  work: closedLoop({ connections: 16, path: '/orders/1', isFresh: true }),
  figures: LOAD_FIGURES.map((figure) => ({ ...figure, title: figure.title.replace('request', 'handshake') })),
  reference: 'haproxy',
  contestants: [HAPROXY, BARE_NODE, hauberkIdentity(), ENVOY],
  ours: (build) => [hauberkIdentity(build)],
  goals: [{ contestant: 'hauberk', against: 'haproxy', needed: 1, goal: 0.85 }],
}
