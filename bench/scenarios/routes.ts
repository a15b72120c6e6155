import { closedLoop } from '../load/wrk.ts'
import { hauberkGateway, pathOfRoute } from '../peers/hauberk.ts'
import type { Build, Contestant, Scenario } from '../scenario.ts'
import { LOAD_FIGURES, namedFor } from './rows.ts'

const FEW = 10
const MANY = 1_000

/** Whether routes in number cost: the same request, to a gateway that has few or many of them. */
export const routes: Scenario = {
  name: 'routes',
  title: `A gateway with ${FEW} or ${MANY.toLocaleString('en')} routes and as many policies, HTTP/1.1 in plaintext in, mTLS out, 1 KB`,
  notes: 'Each route has a path and a SecurityPolicy of its own. What is counted is the gateway alone.',
  work: closedLoop({ connections: 32, path: pathOfRoute(FEW - 1), isPlain: true }),
  figures: LOAD_FIGURES,
  reference: 'hauberk-few',
  contestants: [row('hauberk-few', FEW), row('hauberk-many', MANY)],
  ours: (build) => [row('hauberk-few', FEW, build), row('hauberk-many', MANY, build)],
  goals: [{ contestant: 'hauberk-many', against: 'hauberk-few', needed: 1.1, goal: 1.05 }],
}

function row(name: string, count: number, build?: Build): Contestant {
  return {
    ...namedFor(name, `${count.toLocaleString('en')} routes`, build),
    peer: hauberkGateway({ routes: count, policies: count, bundle: build?.directory }),
    tokens: 0,
    refuses: [],
  }
}
