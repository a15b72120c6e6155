import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { usageOf } from '../measure/process-tree.ts'
import { type Figures, type Stage, VoidRound, type Work } from '../scenario.ts'
import type { KeyAndChain } from '../world/certificates.ts'
import { type Child, startChild } from '../world/child.ts'
import { checkAnswers } from './check.ts'
import { percentile } from './oha.ts'

export interface IdleLoad {
  readonly connections: number
  readonly path: string
}

export interface IdleSettings extends IdleLoad {
  readonly port: number
  /** PEM. */
  readonly root: string
  readonly certificate: KeyAndChain
}

export type IdleAsk =
  | { readonly type: 'open'; readonly settings: IdleSettings }
  | { readonly type: 'probe'; readonly count: number; readonly everyMs: number }
export type IdleAnswer =
  | { readonly type: 'opened'; readonly problem: string | undefined }
  | { readonly type: 'probed'; readonly milliseconds: readonly number[]; readonly problem: string | undefined }

/** Milliseconds that memory is given to settle. */
const SETTLE_MS = 2_000
const PROBES = 500
const PROBE_EVERY_MS = 5

/** Connections that have each made a request and do nothing: what they cost in memory, and those who still ask. */
export function idleConnections(load: IdleLoad): Work {
  return {
    programs: ['nginx', 'gcc', 'taskset'],
    warmUpSeconds: 0,
    async check(stage) {
      return (await checkAnswers(stage, load)).tls
    },
    measure: (stage) => measureIdle(stage, load),
  }
}

async function measureIdle({ world, peer, directory, contestant }: Stage, load: IdleLoad): Promise<Figures> {
  const holder: Child<IdleAsk, IdleAnswer> = await startChild(join(import.meta.dirname, 'idle-program.ts'), {
    cores: [world.cores.rest],
    logFile: join(directory, 'idle.log'),
  })
  try {
    const { root, client } = world.certificates
    const before = usageOf(peer.pids)
    const startedMs = performance.now()
    const settings: IdleSettings = { ...load, port: peer.port, root, certificate: client }
    const opened = await holder.ask({ type: 'open', settings }, 'opened')
    const openedMs = performance.now() - startedMs
    if (opened.problem !== undefined) throw new VoidRound(`${contestant.name}: ${opened.problem}`)
    await sleep(SETTLE_MS)
    const held = usageOf(peer.pids)
    const probed = await holder.ask({ type: 'probe', count: PROBES, everyMs: PROBE_EVERY_MS }, 'probed')
    if (probed.problem !== undefined) throw new VoidRound(`${contestant.name}: ${probed.problem}`)
    const milliseconds = [...probed.milliseconds].sort((a, b) => a - b)
    return {
      kibEach: (held.anonymousBytes - before.anonymousBytes) / load.connections / 1_024,
      anonymous: held.anonymousBytes / 2 ** 20,
      p50: percentile(milliseconds, 0.5),
      p99: percentile(milliseconds, 0.99),
      openedPerSecond: (load.connections * 1_000) / openedMs,
    }
  } finally {
    await holder.kill()
  }
}
