import { setTimeout as sleep } from 'node:timers/promises'
import { usageOf } from '../measure/process-tree.ts'
import { type Figures, type Stage, VoidRound } from '../scenario.ts'

/** What a generator makes of one round. Its load begins soon after the call, and lasts `seconds`. */
export type Generate = (seconds: number) => Promise<void>

/** Seconds of load before what is measured: connections are made in them. */
const SETTLE_SECONDS = 0.4

/** Seconds that all load lasts beyond what is measured. */
export const EXTRA_SECONDS = 1

const POLL_MS = 10
const START_MS = 20_000

/** Tells how many requests were answered so far. */
export type Count = () => Promise<number>

/**
 * CPU per request between two moments of steady load: the generator has made its connections by the first, and is not about
 * to stop at the second. Requests are what the backend answered between them, CPU is what the kernel counted.
 */
export async function measureSteady(
  { world, contestant, peer }: Stage,
  seconds: number,
  generate: Generate,
  count: Count = world.backend.answered,
): Promise<Figures> {
  const start = await count()
  let hasEnded = false
  const generating = generate(seconds + EXTRA_SECONDS).finally(() => {
    hasEnded = true
  })
  // Whoever fails first is told of; the other is waited for below.
  generating.catch(() => {})
  const deadline = performance.now() + START_MS
  while ((await count()) === start && !hasEnded) {
    if (performance.now() > deadline) throw new VoidRound(`${contestant.name}: no request was answered`)
    await sleep(POLL_MS)
  }
  await sleep(SETTLE_SECONDS * 1_000)
  const snapshot = async () => {
    const answered = await count()
    return { answered, atUs: performance.now() * 1_000, ...usageOf(peer.pids) }
  }
  const before = await snapshot()
  await sleep(seconds * 1_000)
  const after = await snapshot()
  await generating
  const requests = after.answered - before.answered
  if (requests === 0) throw new VoidRound(`${contestant.name}: no request was answered`)
  const elapsedUs = after.atUs - before.atUs
  const cpuUs = after.cpuUs - before.cpuUs
  return {
    requests,
    perSecond: (requests * 1_000_000) / elapsedUs,
    cpuUs: cpuUs / requests,
    cpuShare: cpuUs / elapsedUs,
    anonymous: after.anonymousBytes / 2 ** 20,
    resident: after.residentBytes / 2 ** 20,
  }
}
