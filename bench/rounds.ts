import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkAnswers } from './load/check.ts'
import type { Probed } from './load/probe.ts'
import type { Generator } from './load/wrk.ts'
import { endedChildrenUs, machineBusyUs, usageOf } from './measure/process-tree.ts'
import { orderOf } from './measure/statistics.ts'
import type { RunningPeer } from './peers/peer.ts'
import type { Contestant, Scenario } from './scenario.ts'
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
      const ours = [peer.pid, world.backend.pid]
      const before = ours.map(usageOf)
      const ownBefore = ownCpuUs()
      const busyBefore = machineBusyUs()
      const startedAt = performance.now()
      const generated = await generator.generate(peer.port, load, world.tokens.valid.slice(0, tokens), forSeconds)
      const elapsedUs = (performance.now() - startedAt) * 1_000
      const busyUs = machineBusyUs() - busyBefore
      const ownUs = ownCpuUs() - ownBefore
      const after = ours.map(usageOf)
      const answer = await checkAnswers(world, contestant, peer, load)

      const { requests, bytes, refused, broken } = generated
      if (refused > 0 || broken > 0) throw new VoidRound(`${name}: ${refused} refused, ${broken} broken of ${requests}`)
      if (requests === 0) throw new VoidRound(`${name}: no request was answered`)
      // What is under way at the end is counted in octets already and not yet as an answer.
      const excess = bytes - requests * answer.bytes
      if (excess < 0 || excess > load.connections * answer.bytes) {
        throw new VoidRound(`${name}: ${bytes} octets are not ${requests} answers of ${answer.bytes}`)
      }
      const [cpuUs = 0, backendUs = 0] = after.map((usage, i) => usage.cpuUs - before[i]!.cpuUs)
      return {
        requests,
        requestsPerSecond: requests / generated.durationS,
        cpuUsPerRequest: cpuUs / requests,
        cpuShare: cpuUs / elapsedUs,
        anonymousBytes: after[0]!.anonymousBytes,
        foreignCpus: Math.max(0, busyUs - cpuUs - backendUs - ownUs) / elapsedUs,
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

/** Of the bench itself and of what it has run to its end, the generator above all. */
function ownCpuUs(): number {
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  return userCPUTime + systemCPUTime + endedChildrenUs()
}

function sameTls(spoken: readonly (readonly [string, string])[]): string {
  const [first] = spoken
  for (const [name, tls] of spoken) {
    if (tls !== first?.[1]) throw new Error(`${name} speaks ${tls}, ${first?.[0]} speaks ${first?.[1]}`)
  }
  return first?.[1] ?? ''
}
