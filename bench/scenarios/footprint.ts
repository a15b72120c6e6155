import { atRest, coldStart } from '../load/at-rest.ts'
import { idleConnections } from '../load/idle.ts'
import { slowReaders } from '../load/slow-readers.ts'
import { hauberk } from '../peers/hauberk.ts'
import { startOperator } from '../push/operator.ts'
import type { Contestant, Figure, Scenario } from '../scenario.ts'
import { ENVOY, HAPROXY, hauberkIdentity, hauberkJwt } from './rows.ts'

const ANONYMOUS: Figure = { key: 'anonymous', title: 'RssAnon', unit: 'MiB' }
const EACH: Figure = { key: 'kibEach', title: 'each', unit: 'KiB', isRatio: true }

const CONNECTED: Contestant = {
  ...hauberkIdentity(),
  peer: hauberk({ policy: 'identity', operator: startOperator }),
}

export const rest: Scenario = {
  name: 'rest',
  title: 'Nobody calls',
  notes: 'Ours is connected to an operator, as it is in a mesh.',
  work: atRest(),
  mostRounds: 3,
  figures: [
    { key: 'cpuShare', title: 'CPU', unit: 'share' },
    ANONYMOUS,
    { key: 'resident', title: 'RSS', unit: 'MiB' },
  ],
  contestants: [HAPROXY, CONNECTED, ENVOY],
  goals: [
    { contestant: 'hauberk', figure: 'cpuShare', needed: 0.001, goal: 0.001 },
    { contestant: 'hauberk', figure: 'anonymous', needed: 20, goal: 20 },
  ],
}

export const start: Scenario = {
  name: 'start',
  title: 'Cold start to the first 200 with policy',
  notes: `From the start of the process, with the identity, configuration and keys that it was given before, and the code that V8
compiled then (ours), as a container that starts again; how far it is told by asking again and again. Every refusal is checked right after.`,
  work: coldStart(),
  figures: [
    { key: 'milliseconds', title: 'ms', unit: 'ms', isRatio: true },
    { key: 'cpuMs', title: 'CPU ms', unit: 'ms' },
    ANONYMOUS,
  ],
  reference: 'haproxy',
  contestants: [HAPROXY, hauberkIdentity(), hauberkJwt(1), ENVOY],
  ours: (build) => [hauberkIdentity(build), hauberkJwt(1, build)],
  goals: [{ contestant: 'hauberk-jwt', figure: 'milliseconds', needed: 200, goal: 200 }],
}

export const idle: Scenario = {
  name: 'idle',
  title: '10,000 idle mTLS connections',
  notes: 'Each has made one request. Then 200 requests a second on some of them.',
  work: idleConnections({ connections: 10_000, path: '/orders/1' }),
  mostRounds: 1,
  figures: [
    EACH,
    ANONYMOUS,
    { key: 'p50', title: 'p50 ms', unit: 'ms' },
    { key: 'p99', title: 'p99 ms', unit: 'ms' },
    { key: 'openedPerSecond', title: 'opened/s', unit: 'count' },
  ],
  contestants: [hauberkIdentity()],
  ours: (build) => [hauberkIdentity(build)],
  goals: [
    { contestant: 'hauberk', figure: 'kibEach', needed: 100, goal: 60 },
    { contestant: 'hauberk', figure: 'p99', needed: 50, goal: 50 },
  ],
}

const SLOW_READERS = 100

export const slowReading: Scenario = {
  name: 'slow-readers',
  title: `${SLOW_READERS} clients that ask for 16 MB each and read nothing for 3 s`,
  notes: 'What a proxy keeps for each of them at most, besides what the kernel keeps. Whoever reads on gets all of it.',
  work: slowReaders(SLOW_READERS),
  mostRounds: 2,
  figures: [EACH, ANONYMOUS],
  reference: 'haproxy',
  contestants: [HAPROXY, hauberkIdentity()],
  ours: (build) => [hauberkIdentity(build)],
  goals: [{ contestant: 'hauberk', figure: 'kibEach', needed: 512, goal: 256 }],
}
