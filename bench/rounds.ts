import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Tools } from './load/tools.ts'
import { machineBusyUs, usageOf } from './measure/process-tree.ts'
import { orderOf } from './measure/statistics.ts'
import type { RunningPeer } from './peers/peer.ts'
import { type Contestant, type Figures, NotThereError, type Scenario, type Stage, VoidRound } from './scenario.ts'
import type { World } from './world/world.ts'

export interface ScenarioResult {
  /** By contestant, then by round. Those that were left out are not in it. */
  readonly measured: ReadonlyMap<string, readonly Figures[]>
  /** In bytes, by contestant: answering, before any load. */
  readonly idleAnonymousBytes: ReadonlyMap<string, number>
  /** Protocol, cipher and group that all of them spoke, where that was asked. */
  readonly tls: string | undefined
  /** Why rounds were made again. */
  readonly voided: readonly string[]
  /** Why contestants were left out, by name. */
  readonly leftOut: ReadonlyMap<string, string>
  /** CPUs that were busy with none of ours, by measurement. */
  readonly foreignCpus: readonly number[]
}

export interface RoundOptions {
  readonly rounds: number
  /** Of load, for each contestant and round. */
  readonly seconds: number
  /** Of load before the first round. */
  readonly warmUpSeconds: number
  readonly progress: (line: string) => void
  /** Why a contestant cannot be measured on this machine; undefined: it can. */
  readonly lacks: (contestant: Contestant) => string | undefined
}

/** Rounds that may be made again before the bench gives up. */
const MAX_VOIDED = 5

const NOT_STARTED: RunningPeer = { pids: [], port: 0, stop: async () => {} }

/** Starts all contestants, and puts the load on one after the other, round after round. */
export async function runScenario(
  world: World,
  scenario: Scenario,
  tools: Tools,
  options: RoundOptions,
): Promise<ScenarioResult> {
  const { work, mostRounds = Number.POSITIVE_INFINITY } = scenario
  const { seconds, progress, lacks } = options
  const warmUpSeconds = work.warmUpSeconds ?? options.warmUpSeconds
  const rounds = Math.min(options.rounds, mostRounds)
  const leftOut = new Map<string, string>()
  const stages: Stage[] = []
  const started: RunningPeer[] = []
  try {
    const idleAnonymousBytes = new Map<string, number>()
    const spoken: [string, string][] = []
    for (const contestant of scenario.contestants) {
      const { name } = contestant
      const directory = join(world.directory, `${scenario.name}-${name}`.replaceAll('/', '-'))
      const leaveOut = (why: string) => {
        leftOut.set(name, why)
        progress(`LEFT OUT: ${contestant.title}: ${why}`)
      }
      const lack = lacks(contestant)
      if (lack !== undefined) {
        leaveOut(lack)
        continue
      }
      await mkdir(directory, { recursive: true, mode: 0o700 })
      try {
        const peer = work.startsPeers ? NOT_STARTED : await contestant.peer.start(world, directory)
        started.push(peer)
        const stage: Stage = { world, tools, contestant, directory, peer }
        const tls = await work.check(stage)
        if (tls !== undefined) spoken.push([name, tls])
        if (!work.startsPeers) idleAnonymousBytes.set(name, usageOf(peer.pids).anonymousBytes)
        stages.push(stage)
      } catch (error) {
        if (!(error instanceof NotThereError)) throw error
        leaveOut(error.message)
      }
    }
    const tls = sameTls(spoken)
    const foreignCpus: number[] = []
    const measureOnce = async (stage: Stage, forSeconds: number): Promise<Figures> => {
      const before = foreignNow()
      const figures = await work.measure(stage, forSeconds)
      const after = foreignNow()
      foreignCpus.push(Math.max(0, after.us - before.us) / (after.atUs - before.atUs))
      if (!work.startsPeers) await work.check(stage)
      return figures
    }
    if (warmUpSeconds > 0) {
      for (const stage of stages) {
        progress(`warm-up: ${stage.contestant.title}`)
        await measureOnce(stage, warmUpSeconds).catch((error: unknown) => {
          if (!(error instanceof VoidRound)) throw error
          progress(`warm-up was not as it should be: ${error.message}`)
        })
      }
    }
    foreignCpus.length = 0
    const measured = new Map<string, Figures[]>(stages.map(({ contestant }) => [contestant.name, []]))
    const voided: string[] = []
    for (let round = 0; stages.length > 0 && round < rounds; ) {
      progress(`round ${round + 1} of ${rounds}`)
      try {
        const results = new Map<string, Figures>()
        for (const stage of orderOf(stages, round)) {
          results.set(stage.contestant.name, await measureOnce(stage, seconds))
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
    return { measured, idleAnonymousBytes, tls, voided, leftOut, foreignCpus }
  } finally {
    await Promise.all(started.map((peer) => peer.stop()))
  }
}

/** CPU of whatever is none of ours: proxies, backend and generator are all below this process. */
function foreignNow(): { readonly us: number; readonly atUs: number } {
  const { cpuUs, endedUs } = usageOf([process.pid])
  return { us: machineBusyUs() - cpuUs - endedUs, atUs: performance.now() * 1_000 }
}

function sameTls(spoken: readonly (readonly [string, string])[]): string | undefined {
  const [first] = spoken
  for (const [name, tls] of spoken) {
    if (tls !== first?.[1]) throw new Error(`${name} speaks ${tls}, ${first?.[0]} speaks ${first?.[1]}`)
  }
  return first?.[1]
}
