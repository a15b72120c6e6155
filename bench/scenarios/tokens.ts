import { fixedRate } from '../load/oha.ts'
import { closedLoop, type WrkRun, wrk } from '../load/wrk.ts'
import type { Scenario, Stage } from '../scenario.ts'
import { VoidRound } from '../scenario.ts'
import { HAPROXY_JWT, hauberkJwt, LOAD_FIGURES } from './rows.ts'

/** More than any cache here holds: by the time that one comes again it is forgotten. */
const UNIQUE = 120_000

export const tokens: Scenario = {
  name: 'tokens',
  title: 'ES256 JWT, tens of thousands of tokens',
  notes: `Tokens come in turn, and go on from round to round. 50,000 have all come once before the first; ${UNIQUE.toLocaleString('en')} are as good as unique.`,
  // Long enough for each of 50,000 to have come once: it is the second time that is asked about.
  work: { ...closedLoop({ connections: 32, path: '/orders/1' }), warmUpSeconds: 12 },
  figures: LOAD_FIGURES,
  reference: 'haproxy-jwt',
  contestants: [HAPROXY_JWT, hauberkJwt(50_000), hauberkJwt(UNIQUE)],
  ours: (build) => [hauberkJwt(50_000, build), hauberkJwt(UNIQUE, build)],
  goals: [
    { contestant: 'hauberk-jwt-50000', against: 'haproxy-jwt', needed: 1.6, goal: 1.2 },
    { contestant: `hauberk-jwt-${UNIQUE}`, against: 'haproxy-jwt', needed: 1.6, goal: 1.2 },
  ],
}

/** Good requests a second. */
const GOOD_RATE = 2_000
const BAD_CONNECTIONS = 32
/** Of altered tokens: each comes again only when it is long forgotten. */
const BAD_TOKENS = 20_000

/** Altered tokens that come beside the good requests, by contestant: a share of {@link GOOD_RATE}. */
const BAD_SHARES: Readonly<Record<string, number>> = { 'hauberk-bad-10': 0.1, 'hauberk-bad-100': 1 }

export const badTokens: Scenario = {
  name: 'bad-tokens',
  title: `${GOOD_RATE.toLocaleString('en')} good requests/s, and altered tokens beside them`,
  notes: `The altered tokens come from the same workload and address, on connections of their own, each with another signature; each
must be answered 401. Latency is that of the good requests.`,
  work: fixedRate({ rate: GOOD_RATE, connections: 32, path: '/orders/1', stretch: 2 }, sendBadTokens),
  figures: [
    { key: 'p50', title: 'p50 ms', unit: 'ms' },
    { key: 'p99', title: 'p99 ms', unit: 'ms', isRatio: true },
    { key: 'p999', title: 'p99.9 ms', unit: 'ms' },
    { key: 'cpuShare', title: 'of its core', unit: 'share' },
  ],
  reference: 'hauberk-jwt',
  contestants: [
    { ...hauberkJwt(1), title: 'Hauberk, none' },
    { ...hauberkJwt(1), name: 'hauberk-bad-10', title: 'Hauberk, 10 % as many' },
    { ...hauberkJwt(1), name: 'hauberk-bad-100', title: 'Hauberk, 100 % as many' },
  ],
  goals: [
    { contestant: 'hauberk-bad-10', against: 'hauberk-jwt', figure: 'p99', needed: 1.5, goal: 1 },
    { contestant: 'hauberk-bad-100', against: 'hauberk-jwt', figure: 'p99', needed: 1.5, goal: 1 },
  ],
}

async function sendBadTokens({ tools, contestant, directory, peer }: Stage, seconds: number): Promise<void> {
  const share = BAD_SHARES[contestant.name]
  if (share === undefined) return
  const pauseMs = Math.round((BAD_CONNECTIONS * 1_000) / (GOOD_RATE * share))
  const run: WrkRun = {
    directory,
    port: peer.port,
    load: { connections: BAD_CONNECTIONS, path: '/orders/1', pauseMs },
    seconds,
    tokenFile: await tools.alteredTokenFile(BAD_TOKENS),
    from: Math.floor(Math.random() * BAD_TOKENS),
  }
  const { requests, refused, broken } = await wrk(tools, run)
  const wanted = GOOD_RATE * share * seconds
  if (broken > 0 || refused !== requests) {
    throw new VoidRound(`${contestant.name}: ${refused} of ${requests} altered tokens were refused, ${broken} broken`)
  }
  if (requests < wanted / 2) throw new VoidRound(`${contestant.name}: ${requests} altered tokens in place of ${wanted}`)
}
