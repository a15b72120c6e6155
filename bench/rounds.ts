import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkAnswers } from './load/check.ts'
import type { Probed } from './load/probe.ts'
import type { Generator } from './load/wrk.ts'
import { machineBusyUs, type Usage, usageOf } from './measure/process-tree.ts'
import { orderOf } from './measure/statistics.ts'
import type { RunningPeer } from './peers/peer.ts'
import type { Contestant, Scenario } from './scenario.ts'
import type { Backend } from './world/backend.ts'
import type { World } from './world/world.ts'

/** What one contestant did in one round. */
export interface Measured {
  readonly requests: number
  readonly requestsPerSecond: number
  /** Of the proxy's process tree. */
  readonly cpuUsPerRequest: number
  /** Of its core, 0..1. */
  readonly cpuShare: number
  /** At the end of the round, in bytes. */
  readonly anonymousBytes: number
  /** CPUs that were busy with none of ours meanwhile. */
  readonly foreignCpus: number
}

export interface ScenarioResult {
  /** By contestant, then by round. */
  readonly measured: ReadonlyMap<string, readonly Measured[]>
  /** In bytes, by contestant: answering, before any load. */
  readonly idleAnonymousBytes: ReadonlyMap<string, number>
  /** Protocol, cipher and group that all of them spoke. */
  readonly tls: string
  /** Why rounds were made again. */
  readonly voided: readonly string[]
}

export interface RoundOptions {
  readonly rounds: number
  /** Of load, for each contestant and round. */
  readonly seconds: number
  /** Of load before the first round. */
  readonly warmUpSeconds: number
  readonly progress: (line: string) => void
}

/** A round that does not count. */
class VoidRound extends Error {}

/**
 * Seconds of load before and after what is measured: connections are made in the first, and nobody is about to stop in
 * the second.
 */
const SETTLE_SECONDS = 1

/** Rounds that may be made again before the bench gives up. */
const MAX_VOIDED = 5

/** Starts all contestants, and puts the load on one after the other, round after round. */
export async function runScenario(
  world: World,
  scenario: Scenario,
  generator: Generator,
  options: RoundOptions,
): Promise<ScenarioResult> {
  const { contestants, load } = scenario
  const { rounds, seconds, warmUpSeconds, progress } = options
  const running = new Map<Contestant, RunningPeer>()
  try {
    for (const contestant of contestants) {
      const directory = join(world.directory, contestant.name.replaceAll('/', '-'))
      await mkdir(directory, { recursive: true, mode: 0o700 })
      running.set(contestant, await contestant.peer.start(world, directory))
    }
    const answers = new Map<Contestant, Probed>()
    for (const [contestant, peer] of running) {
      answers.set(contestant, await checkAnswers(world, contestant, peer, load))
    }
    const tls = sameTls([...answers].map(([{ name }, answer]) => [name, answer.tls]))
    const idleAnonymousBytes = new Map([...running].map(([{ name }, { pid }]) => [name, usageOf(pid).anonymousBytes]))

    const measureOnce = async (contestant: Contestant, forSeconds: number): Promise<Measured> => {
      const peer = running.get(contestant)!
      const { name, tokens } = contestant
      const loaded = world.tokens.valid.slice(0, tokens)
      const allSeconds = SETTLE_SECONDS + forSeconds + SETTLE_SECONDS
      const generating = generator.generate(peer.port, load, loaded, allSeconds)
      // Whoever fails first is told of; the other is waited for below.
      generating.catch(() => {})
      await sleep(SETTLE_SECONDS * 1_000)
      const before = await snapshot(peer.pid, world.backend)
      await sleep(forSeconds * 1_000)
      const after = await snapshot(peer.pid, world.backend)
      const generated = await generating
      const answer = await checkAnswers(world, contestant, peer, load)

      const { requests, bytes, refused, broken } = generated
      if (refused > 0 || broken > 0) throw new VoidRound(`${name}: ${refused} refused, ${broken} broken of ${requests}`)
      if (requests === 0) throw new VoidRound(`${name}: no request was answered`)
      // What is under way at the end is counted in octets already and not yet as an answer.
      const excess = bytes - requests * answer.bytes
      if (excess < 0 || excess > load.connections * answer.bytes) {
        throw new VoidRound(`${name}: ${bytes} octets are not ${requests} answers of ${answer.bytes}`)
      }
      const elapsedUs = after.atUs - before.atUs
      const counted = after.answered - before.answered
      const cpuUs = after.proxy.cpuUs - before.proxy.cpuUs
      return {
        requests: counted,
        requestsPerSecond: (counted * 1_000_000) / elapsedUs,
        cpuUsPerRequest: cpuUs / counted,
        cpuShare: cpuUs / elapsedUs,
        anonymousBytes: after.proxy.anonymousBytes,
        foreignCpus: Math.max(0, after.foreignUs - before.foreignUs) / elapsedUs,
      }
    }

    for (const contestant of contestants) {
      progress(`warm-up: ${contestant.title}`)
      await measureOnce(contestant, warmUpSeconds)
    }
    const measured = new Map<string, Measured[]>(contestants.map(({ name }) => [name, []]))
    const voided: string[] = []
    for (let round = 0; round < rounds; ) {
      progress(`round ${round + 1} of ${rounds}`)
      try {
        const results = new Map<string, Measured>()
        for (const contestant of orderOf(contestants, round)) {
          results.set(contestant.name, await measureOnce(contestant, seconds))
        }
        for (const [name, result] of results) measured.get(name)!.push(result)
        round++
      } catch (error) {
        if (!(error instanceof VoidRound)) throw error
        voided.push(error.message)
        progress(`void: ${error.message}`)
        if (voided.length > MAX_VOIDED) throw new Error(`more than ${MAX_VOIDED} rounds were void`, { cause: error })
      }
    }
    return { measured, idleAnonymousBytes, tls, voided }
  } finally {
    await Promise.all([...running.values()].map((peer) => peer.stop()))
  }
}

interface Snapshot {
  readonly atUs: number
  /** Requests that the backend has answered so far. */
  readonly answered: number
  readonly proxy: Usage
  /** CPU of whatever is none of ours. */
  readonly foreignUs: number
}

async function snapshot(proxy: number, backend: Backend): Promise<Snapshot> {
  const answered = await backend.answered()
  // Proxies, backend and generator are all below this process.
  const foreignUs = machineBusyUs() - usageOf(process.pid).cpuUs
  return { atUs: performance.now() * 1_000, answered, proxy: usageOf(proxy), foreignUs }
}

function sameTls(spoken: readonly (readonly [string, string])[]): string {
  const [first] = spoken
  for (const [name, tls] of spoken) {
    if (tls !== first?.[1]) throw new Error(`${name} speaks ${tls}, ${first?.[0]} speaks ${first?.[1]}`)
  }
  return first?.[1] ?? ''
}
