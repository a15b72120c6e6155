import { echoLoop } from '../load/echo.ts'
import { haproxy } from '../peers/haproxy.ts'
import { hauberk } from '../peers/hauberk.ts'
import type { Build, Contestant, Scenario } from '../scenario.ts'
import { IDENTITY_REFUSALS, LOAD_FIGURES, MTLS_REFUSALS, namedFor } from './rows.ts'

const GOALS = [{ contestant: 'hauberk', against: 'haproxy', needed: 1.8, goal: 1.4 }]
const FIGURES = LOAD_FIGURES.map((figure) => ({ ...figure, title: figure.title.replace('request', 'message') }))

export const tcp: Scenario = {
  name: 'tcp',
  title: 'Opaque TCP, 32 connections, messages of 1 KB that come back, mTLS in, plaintext out',
  work: echoLoop({ kind: 'tcp', connections: 32, bytes: 1_024 }),
  figures: FIGURES,
  reference: 'haproxy',
  contestants: [
    { name: 'haproxy', title: 'HAProxy, mTLS', peer: haproxy({ protocol: 'tcp' }), tokens: 0, refuses: MTLS_REFUSALS },
    hauberkRow('tcp'),
  ],
  ours: (build) => [hauberkRow('tcp', build)],
  goals: GOALS,
}

export const websocket: Scenario = {
  name: 'websocket',
  title: 'WebSocket, 32 connections, messages of 1 KB that come back, mTLS in, plaintext out',
  work: echoLoop({ kind: 'websocket', connections: 32, bytes: 1_024 }),
  figures: FIGURES,
  reference: 'haproxy',
  contestants: [
    {
      name: 'haproxy',
      title: 'HAProxy, mTLS',
      peer: haproxy({ app: 'echo' }),
      tokens: 0,
      refuses: MTLS_REFUSALS,
    },
    hauberkRow('identity'),
  ],
  ours: (build) => [hauberkRow('identity', build)],
  goals: GOALS,
}

function hauberkRow(policy: 'tcp' | 'identity', build?: Build): Contestant {
  return {
    ...namedFor('hauberk', 'mTLS + identity rule', build),
    peer: hauberk({ policy, app: 'echo', bundle: build?.directory }),
    tokens: 0,
    refuses: IDENTITY_REFUSALS,
  }
}
