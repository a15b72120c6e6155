import { closedLoop } from '../load/wrk.ts'
import { hauberk } from '../peers/hauberk.ts'
import type { Scenario } from '../scenario.ts'
import { hauberkJwt, LOAD_FIGURES } from './rows.ts'

/** A sidecar with two threads that listen on the same port, both on the one core: what they cost, not how much they do. */
export const workers: Scenario = {
  name: 'workers',
  title: 'Two workers (reusePort) beside one, mTLS + ES256 JWT + limit',
  work: closedLoop({ connections: 32, path: '/orders/1' }),
  figures: LOAD_FIGURES,
  reference: 'hauberk-jwt',
  contestants: [
    hauberkJwt(1),
    {
      ...hauberkJwt(1),
      name: 'hauberk-jwt-2',
      title: 'Hauberk, two workers',
      peer: hauberk({ policy: 'jwt-limit', workers: 2 }),
    },
  ],
  goals: [{ contestant: 'hauberk-jwt-2', against: 'hauberk-jwt', needed: 1.15, goal: 1.05 }],
}
