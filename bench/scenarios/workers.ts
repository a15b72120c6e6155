import { closedLoop } from '../load/wrk.ts'
import type { Peer } from '../peers/peer.ts'
import { NotThereError, type Scenario } from '../scenario.ts'
import { hauberkJwt, LOAD_FIGURES } from './rows.ts'

const notThere: Peer = {
  programs: [],
  start: () => Promise.reject(new NotThereError('a sidecar has one process, and no option for more')),
}

/** A pod's sidecar as two processes that listen on the same port. */
export const workers: Scenario = {
  name: 'workers',
  title: 'Two workers (reusePort) beside one, mTLS + ES256 JWT + limit',
  work: closedLoop({ connections: 32, path: '/orders/1' }),
  figures: LOAD_FIGURES,
  reference: 'hauberk-jwt',
  contestants: [
    hauberkJwt(1),
    { ...hauberkJwt(1), name: 'hauberk-jwt-2', title: 'Hauberk, two workers', peer: notThere },
  ],
  goals: [{ contestant: 'hauberk-jwt-2', against: 'hauberk-jwt', needed: 1.15, goal: 1.05 }],
}
