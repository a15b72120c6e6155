import { setTimeout as sleep } from 'node:timers/promises'
import { fixedRate } from '../load/oha.ts'
import { probe } from '../load/probe.ts'
import { hauberkGateway, pathOfRoute, policyOfRoute } from '../peers/hauberk.ts'
import type { Peer } from '../peers/peer.ts'
import { type Operator, startOperator } from '../push/operator.ts'
import { type Scenario, type Stage, WrongAnswerError } from '../scenario.ts'

const ROUTES = 1_000
const RATE = 1_000
const EVERY_MS = 1_000
/** Whose policy is edited; requests go to another one. */
const EDITED = 500
/** Milliseconds in which a push must be in force. */
const IN_FORCE_MS = 10_000
const POLL_MS = 20

const operators = new Map<string, Operator>()
const generations = new Map<string, number>()

/**
 * A gateway that obeys a new configuration each second while it is called. That it does is shown by the edited route: it
 * answers 200 and 403 in turn.
 */
export const push: Scenario = {
  name: 'push',
  title: `A gateway with ${ROUTES.toLocaleString('en')} routes and as many policies, ${RATE.toLocaleString('en')} requests/s, and a new configuration each second`,
  notes:
    'What is lost is any answer but 200. Each push is seen to be in force: the route whose policy it changes answers 200 and 403 in turn.',
  work: fixedRate(
    { rate: RATE, connections: 32, path: pathOfRoute(1), isPlain: true, countsLost: true, stretch: 4 },
    pushEachSecond,
  ),
  mostRounds: 3,
  figures: [
    { key: 'p50', title: 'p50 ms', unit: 'ms' },
    { key: 'p99', title: 'p99 ms', unit: 'ms', isRatio: true },
    { key: 'p999', title: 'p99.9 ms', unit: 'ms' },
    { key: 'lost', title: 'lost', unit: 'count' },
    { key: 'sent', title: 'of', unit: 'count' },
    { key: 'cpuShare', title: 'of its core', unit: 'share' },
    { key: 'anonymous', title: 'RssAnon', unit: 'MiB' },
  ],
  reference: 'hauberk-steady',
  contestants: [
    {
      name: 'hauberk-steady',
      title: 'Hauberk, nothing changes',
      peer: gateway('hauberk-steady'),
      tokens: 0,
      refuses: [],
    },
    {
      name: 'hauberk-pushed',
      title: 'Hauberk, pushed each second',
      peer: gateway('hauberk-pushed'),
      tokens: 0,
      refuses: [],
    },
  ],
  goals: [
    { contestant: 'hauberk-pushed', against: 'hauberk-steady', figure: 'p99', needed: 1.5, goal: 1.1 },
    { contestant: 'hauberk-pushed', figure: 'lost', needed: 0, goal: 0 },
  ],
}

function gateway(name: string): Peer {
  return hauberkGateway({
    routes: ROUTES,
    policies: ROUTES,
    async operator(world, directory, resources) {
      const operator = await startOperator(world, directory, resources)
      operators.set(name, operator)
      return operator
    },
  })
}

async function pushEachSecond(stage: Stage, seconds: number): Promise<void> {
  const { name } = stage.contestant
  if (name !== 'hauberk-pushed') return
  const operator = operators.get(name)
  if (operator === undefined) throw new Error(`there is no operator of ${name}`)
  const until = performance.now() + seconds * 1_000
  while (performance.now() < until) {
    const startedMs = performance.now()
    const generation = (generations.get(name) ?? 1) + 1
    generations.set(name, generation)
    const allows = generation % 2 === 1
    await operator.edit(policyOfRoute(EDITED, generation, allows))
    await untilAnswered(stage, allows ? 200 : 403)
    await sleep(Math.max(0, startedMs + EVERY_MS - performance.now()))
  }
}

async function untilAnswered({ world, peer: { port }, contestant }: Stage, status: number): Promise<void> {
  const deadline = performance.now() + IN_FORCE_MS
  for (;;) {
    const answer = await probe({ port, path: pathOfRoute(EDITED), root: world.certificates.root, isPlain: true })
    if (answer.status === status) return
    if (performance.now() > deadline) throw new WrongAnswerError(`${contestant.name}: a push is not in force`)
    await sleep(POLL_MS)
  }
}
