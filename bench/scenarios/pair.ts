import { closedLoop } from '../load/wrk.ts'
import { haproxyPair } from '../peers/haproxy.ts'
import { hauberkPair, PAIR_HEADERS, PAIR_ORIGIN } from '../peers/hauberk.ts'
import type { Build, Contestant, Scenario } from '../scenario.ts'
import { LOAD_FIGURES, namedFor } from './rows.ts'

/** Both ends of a call between two workloads, on one core; what is counted is the CPU of both. */
export const pair: Scenario = {
  name: 'pair',
  title: 'Sidecar to sidecar: plaintext in, mTLS between them, plaintext out, HTTP/1.1 keep-alive, 1 KB',
  notes:
    'The caller names the service in the request line and shows its credential, as the workloads of a local mesh do.',
  work: closedLoop({ connections: 32, path: `${PAIR_ORIGIN}/orders/1`, isPlain: true, headers: PAIR_HEADERS }),
  figures: LOAD_FIGURES,
  reference: 'haproxy',
  contestants: [
    { name: 'haproxy', title: 'HAProxy, two of them', peer: haproxyPair(), tokens: 0, refuses: [] },
    hauberkRow(),
  ],
  ours: (build) => [hauberkRow(build)],
  goals: [{ contestant: 'hauberk', against: 'haproxy', needed: 1.6, goal: 1.3 }],
}

function hauberkRow(build?: Build): Contestant {
  return {
    ...namedFor('hauberk', 'two sidecars, identity rule', build),
    peer: hauberkPair({ bundle: build?.directory }),
    tokens: 0,
    refuses: [],
  }
}
