import { setTimeout as sleep } from 'node:timers/promises'
import { usageOf } from '../measure/process-tree.ts'
import type { Figures, Stage, Work } from '../scenario.ts'
import { checkAnswers } from './check.ts'
import { probe } from './probe.ts'

/** Milliseconds after the start, or after a check, in which a process still tidies up. */
const SETTLE_MS = 3_000

/** What a proxy costs that nobody calls. Each measurement is twice as long as those under load. */
export function atRest(): Work {
  return {
    programs: ['nginx', 'gcc', 'taskset'],
    warmUpSeconds: 0,
    async check(stage) {
      return (await checkAnswers(stage, { path: '/orders/1' })).tls
    },
    async measure({ peer }, seconds): Promise<Figures> {
      await sleep(SETTLE_MS)
      const startedUs = performance.now() * 1_000
      const before = usageOf(peer.pids)
      await sleep(seconds * 2_000)
      const after = usageOf(peer.pids)
      return {
        cpuShare: (after.cpuUs - before.cpuUs) / (performance.now() * 1_000 - startedUs),
        anonymous: after.anonymousBytes / 2 ** 20,
        resident: after.residentBytes / 2 ** 20,
      }
    },
  }
}

const POLL_MS = 2
const START_MS = 15_000

/** Milliseconds from the start of the process to the first answer to a good request; refusals are checked then. */
export function coldStart(): Work {
  return {
    programs: ['nginx', 'gcc', 'taskset'],
    warmUpSeconds: 0,
    startsPeers: true,
    check: async () => undefined,
    async measure(stage): Promise<Figures> {
      const { contestant, world, directory } = stage
      const prepared = await contestant.peer.prepare?.(world, directory)
      const startedMs = performance.now()
      const peer = await (prepared?.() ?? contestant.peer.start(world, directory))
      try {
        const milliseconds = await untilGood({ ...stage, peer }, startedMs)
        const { cpuUs, anonymousBytes } = usageOf(peer.pids)
        await checkAnswers({ ...stage, peer }, { path: '/orders/1' })
        return { milliseconds, cpuMs: cpuUs / 1_000, anonymous: anonymousBytes / 2 ** 20 }
      } finally {
        await peer.stop()
      }
    },
  }
}

async function untilGood({ world, contestant, peer: { port } }: Stage, startedMs: number): Promise<number> {
  const { root, client } = world.certificates
  const token = contestant.tokens === 0 ? undefined : world.tokens.valid[0]
  for (;;) {
    const answer = await probe({ port, path: '/orders/1', root, certificate: client, token }).catch(() => undefined)
    if (answer?.status === 200) return performance.now() - startedMs
    if (performance.now() - startedMs > START_MS) throw new Error(`${contestant.name} does not answer`)
    await sleep(POLL_MS)
  }
}
