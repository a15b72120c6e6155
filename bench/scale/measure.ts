import { setTimeout as sleep } from 'node:timers/promises'
import type { Mesh } from './mesh.ts'
import type { OperatorUsage } from './operator-messages.ts'
import { type Percentiles, percentilesOf } from './percentiles.ts'
import { EVERYONE, everyone, securityPolicy } from './world.ts'

/** Everything that one run found. Milliseconds and bytes. */
export interface ScaleResult {
  readonly sidecars: number
  readonly memory: MemoryResult
  readonly connect: { readonly tookMs: number; readonly operatorCpuMs: number }
  /** An edit of a policy that every sidecar enforces. */
  readonly toAll: readonly PushResult[]
  /** An edit of a policy that one workload enforces. */
  readonly toOne: PushResult & { readonly told: number; readonly others: number }
  readonly storm: StormResult
  readonly stampede: StampedeResult
}

export interface MemoryResult {
  /** With all resources and no sidecars, at rest. */
  readonly before: OperatorUsage
  /** With every sidecar connected and equipped: as it is, and at rest. */
  readonly asItIs: OperatorUsage
  readonly atRest: OperatorUsage
  /** After everything else, at rest. */
  readonly atTheEnd: OperatorUsage
}

export interface PushResult {
  /** From the edit until a sidecar had acknowledged it. */
  readonly latency: Percentiles
  /** From the edit until the status said Programmed. */
  readonly programmedMs: number
  readonly operatorCpuMs: number
  /** Of all sidecars, which share what CPUs there are. */
  readonly sidecarsCpuMs: number
}

export interface StormResult {
  /** From SIGKILL until the next operator listened. */
  readonly downMs: number
  /** From SIGKILL until a sidecar was connected again, and until it had acknowledged what had changed meanwhile. */
  readonly connected: Percentiles
  readonly current: Percentiles
  /** From the moment at which the next operator listened until the last one was current. */
  readonly sinceListeningMs: number
  /** Attempts that came to nothing, of all sidecars. */
  readonly failedAttempts: number
  readonly operatorCpuMs: number
  readonly sidecarsCpuMs: number
  readonly peakRss: number
}

export interface StampedeResult {
  readonly renewals: number
  readonly took: Percentiles
  readonly attempts: number
  readonly sentAway: number
  readonly sentAwayWithTime: number
  readonly unreachable: number
  readonly refused: number
  readonly expired: number
  readonly operatorCpuMs: number
}

export interface MeasureOptions {
  readonly sidecars: number
  readonly podsPerWorkload: number
  readonly rounds: number
  readonly renewals: number
  /** Milliseconds in which an idle operator comes to rest: more than a round of pings. */
  readonly settleMs: number
  /** Milliseconds in which those that nothing was meant for would have been sent something. */
  readonly quietMs: number
  readonly progress: (line: string) => void
}

/** A renewal has this much life left: F04 asks that nobody with more than 60 s fails. */
const LEFT_MS = 61_000

const LIMIT_MS = 180_000

/** Far beyond what is asked, so that a storm that took too long is a figure and not an error. */
const STORM_LIMIT_MS = 900_000

export async function measure(mesh: Mesh, options: MeasureOptions): Promise<ScaleResult> {
  const { sidecars, podsPerWorkload, rounds, renewals, settleMs, quietMs, progress } = options
  let generation = 1

  progress('starting the operator')
  await mesh.startOperator([])
  const before = await usageAtRest(mesh, settleMs)

  progress(`minting ${sidecars} certificates`)
  await mesh.prepareSidecars()
  progress('connecting')
  const connectedAtMs = performance.now()
  const cpuBefore = (await mesh.usage(false)).cpuUs
  await mesh.connectSidecars()
  const connect = {
    tookMs: performance.now() - connectedAtMs,
    operatorCpuMs: ((await mesh.usage(false)).cpuUs - cpuBefore) / 1_000,
  }
  const asItIs = await mesh.usage(false)
  const atRest = await usageAtRest(mesh, settleMs)
  if (atRest.sessions !== sidecars) throw new Error(`the operator has ${atRest.sessions} sessions`)

  const push = async (key: string, told: number, edit: () => Promise<number>, at: number): Promise<PushResult> => {
    await mesh.mark()
    const [cpu, theirs] = [(await mesh.usage(false)).cpuUs, (await mesh.progress()).cpuUs]
    const programmed = mesh.programmed(key, at)
    const editedAtMs = await edit()
    await mesh.until(({ current }) => current >= told, LIMIT_MS)
    const { atMs, summary } = await programmed
    if (summary !== `${told}/${told}`) throw new Error(`${key} is acknowledged by ${summary}, and there are ${told}`)
    const receipts = await mesh.receipts()
    const taken = receipts.flatMap(({ acknowledgedAtMs }) => acknowledgedAtMs ?? [])
    return {
      latency: percentilesOf(taken.map((takenAtMs) => takenAtMs - editedAtMs)),
      programmedMs: atMs - editedAtMs,
      operatorCpuMs: ((await mesh.usage(false)).cpuUs - cpu) / 1_000,
      sidecarsCpuMs: ((await mesh.progress()).cpuUs - theirs) / 1_000,
    }
  }

  const toAll: PushResult[] = []
  for (let round = 0; round < rounds; round += 1) {
    progress(`one policy to all, round ${round + 1}`)
    generation += 1
    const edited = everyone(generation, ['team-0', `edit-${generation}`])
    toAll.push(await push(`MeshSecurityPolicy/${EVERYONE}`, sidecars, () => mesh.edit(edited), generation))
    await sleep(quietMs)
  }

  progress('one policy to one workload')
  const ownEdit = securityPolicy('team-0', 'app-3', 2)
  const one = await push('SecurityPolicy/team-0/app-3', podsPerWorkload, () => mesh.edit(ownEdit), 2)
  await sleep(quietMs)
  const receipts = await mesh.receipts()
  const told = receipts.filter(({ documents }) => documents > 0)
  const others = told.filter(({ workload }) => workload !== 'team-0/app-3').length
  const toOne = { ...one, told: told.length, others }

  progress('reconnect storm')
  generation += 1
  const storm = await causeStorm(mesh, sidecars, [everyone(generation, ['team-0', 'after']), ownEdit])

  progress(`${renewals} renewals at once`)
  await sleep(settleMs / 4)
  const cpu = (await mesh.usage(false)).cpuUs
  const renewed = await mesh.renew(renewals, LEFT_MS)
  const sum = (of: (renewal: (typeof renewed)[number]) => number) => renewed.reduce((all, each) => all + of(each), 0)
  const stampede: StampedeResult = {
    renewals: renewed.length,
    took: percentilesOf(renewed.map(({ tookMs }) => tookMs)),
    attempts: sum(({ attempts }) => attempts),
    sentAway: sum(({ sentAway }) => sentAway),
    sentAwayWithTime: sum(({ sentAwayWithTime }) => sentAwayWithTime),
    unreachable: sum(({ unreachable }) => unreachable),
    refused: sum(({ refused }) => refused),
    expired: renewed.filter(({ hasExpired }) => hasExpired).length,
    operatorCpuMs: ((await mesh.usage(false)).cpuUs - cpu) / 1_000,
  }

  const atTheEnd = await usageAtRest(mesh, settleMs)
  const { refused, connected } = await mesh.progress()
  if (refused > 0) throw new Error(`${refused} documents were for another workload`)
  if (connected !== sidecars) throw new Error(`${connected} sidecars are connected at the end`)
  return {
    sidecars,
    memory: { before, asItIs, atRest, atTheEnd },
    connect,
    toAll,
    toOne,
    storm,
    stampede,
  }
}

/** V8 gives pages back some seconds after a collection has emptied them. */
async function usageAtRest(mesh: Mesh, settleMs: number): Promise<OperatorUsage> {
  await sleep(settleMs)
  await mesh.usage(true)
  await sleep(settleMs)
  return mesh.usage(false)
}

async function causeStorm(
  mesh: Mesh,
  sidecars: number,
  edited: Parameters<Mesh['startOperator']>[0],
): Promise<StormResult> {
  await mesh.mark()
  const theirs = (await mesh.progress()).cpuUs
  const killedAtMs = Date.now()
  await mesh.killOperator()
  await mesh.startOperator(edited)
  const listeningAtMs = Date.now()
  const { cpuUs } = await mesh.usage(false)
  await mesh.until(({ connected, current }) => connected === sidecars && current === sidecars, STORM_LIMIT_MS)
  const usage = await mesh.usage(false)
  const receipts = await mesh.receipts()
  const current = percentilesOf(receipts.map(({ acknowledgedAtMs = Number.NaN }) => acknowledgedAtMs - killedAtMs))
  return {
    downMs: listeningAtMs - killedAtMs,
    connected: percentilesOf(receipts.map(({ openedAtMs = Number.NaN }) => openedAtMs - killedAtMs)),
    current,
    sinceListeningMs: current.max - (listeningAtMs - killedAtMs),
    failedAttempts: receipts.reduce((sum, { lost }) => sum + lost, 0) - sidecars,
    operatorCpuMs: (usage.cpuUs - cpuUs) / 1_000,
    sidecarsCpuMs: ((await mesh.progress()).cpuUs - theirs) / 1_000,
    peakRss: usage.peakRss,
  }
}
