import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Resource } from '../../model/resource.ts'
import { type Child, startChild } from '../world/child.ts'
import { freePort } from '../world/process.ts'
import type { FleetAnswer, FleetAsk, FleetProgress, Receipt, Renewal } from './fleet-messages.ts'
import type { OperatorAnswer, OperatorAsk, OperatorUsage } from './operator-messages.ts'
import { type PodName, podsOf, type WorldSize } from './world.ts'

/** One operator and its sidecars, all in processes of their own. */
export interface Mesh {
  /** Starts the operator, or another one after `killOperator`. Resolves when it listens. `edited`: resources that have changed. */
  startOperator(edited: readonly Resource[]): Promise<void>
  killOperator(): Promise<void>
  usage(collect: boolean): Promise<OperatorUsage>
  /** Resolves with the moment of the edit, milliseconds since the epoch. */
  edit(resource: Resource): Promise<number>
  /** Resolves with when the status said so, and how many of how many sidecars it counts. */
  programmed(key: string, generation: number): Promise<{ readonly atMs: number; readonly summary: string }>
  /** Starts the sidecars' processes and mints their certificates. */
  prepareSidecars(): Promise<void>
  connectSidecars(): Promise<void>
  mark(): Promise<void>
  progress(): Promise<FleetProgress>
  /** Resolves once the progress is so; rejects when it takes longer than `withinMs`. */
  until(isReached: (progress: FleetProgress) => boolean, withinMs: number): Promise<FleetProgress>
  receipts(): Promise<readonly Receipt[]>
  renew(count: number, leftMs: number): Promise<readonly Renewal[]>
  close(): Promise<void>
}

export interface MeshOptions {
  readonly size: WorldSize
  readonly processes: number
  /** Holds the CA and the logs. */
  readonly directory: string
  /** Undefined: nobody is pinned. */
  readonly cores?: { readonly operator: readonly number[]; readonly sidecars: readonly number[] } | undefined
}

/** Sidecars of one process that connect at a time, at first. */
const CONNECT_AT_ONCE = 25
const POLL_MS = 20
/** Processes hear of a renewal this long before it begins. */
const LEAD_MS = 500

type Operator = Child<OperatorAsk, OperatorAnswer>
type Fleet = Child<FleetAsk, FleetAnswer>

export async function createMesh({ size, processes, directory, cores }: MeshOptions): Promise<Mesh> {
  const port = await freePort()
  const fleets: { readonly child: Fleet; readonly pods: readonly PodName[] }[] = []
  let operator: Operator | undefined
  let spiffeId = ''

  const current = (): Operator => {
    if (operator === undefined) throw new Error('there is no operator')
    return operator
  }
  const askAll = <Type extends FleetAnswer['type']>(ask: FleetAsk, type: Type) =>
    Promise.all(fleets.map(({ child }) => child.ask(ask, type)))

  const mesh: Mesh = {
    async startOperator(edited) {
      const started: Operator = await startChild(join(import.meta.dirname, 'operator-program.ts'), {
        cores: cores?.operator,
        logFile: join(directory, 'operator.log'),
      })
      operator = started
      const settings = { size, stateDirectory: directory, port, edited }
      const answer = await started.ask({ type: 'start', settings }, 'started')
      if (answer.issues.length > 0) throw new Error(`the world is not sound: ${answer.issues.join('; ')}`)
      spiffeId = answer.spiffeId
    },
    async killOperator() {
      await current().kill()
      operator = undefined
    },
    usage: async (collect) => (await current().ask({ type: 'usage', collect }, 'usage')).usage,
    edit: async (resource) => (await current().ask({ type: 'edit', resource }, 'edited')).atMs,
    programmed: (key, generation) => current().ask({ type: 'await-programmed', key, generation }, 'programmed'),
    async prepareSidecars() {
      const pods = podsOf(size)
      const each = Math.ceil(pods.length / processes)
      for (let from = 0; from < pods.length; from += each) {
        const child: Fleet = await startChild(join(import.meta.dirname, 'fleet-program.ts'), {
          cores: cores?.sidecars,
          logFile: join(directory, 'sidecars.log'),
        })
        fleets.push({ child, pods: pods.slice(from, from + each) })
      }
      await Promise.all(
        fleets.map(({ child, pods: own }) => {
          const settings = { pods: own, operator: { port, spiffeId }, stateDirectory: directory }
          return child.ask({ type: 'prepare', settings }, 'prepared')
        }),
      )
    },
    async connectSidecars() {
      await askAll({ type: 'connect', atOnce: CONNECT_AT_ONCE }, 'connected')
    },
    async mark() {
      await askAll({ type: 'mark' }, 'marked')
    },
    async progress() {
      const parts = (await askAll({ type: 'progress' }, 'progress')).map(({ progress }) => progress)
      const sum = (of: (part: FleetProgress) => number) => parts.reduce((total, part) => total + of(part), 0)
      return {
        connected: sum(({ connected }) => connected),
        current: sum(({ current: own }) => own),
        documents: sum(({ documents }) => documents),
        refused: sum(({ refused }) => refused),
        cpuUs: sum(({ cpuUs }) => cpuUs),
      }
    },
    async until(isReached, withinMs) {
      const deadline = performance.now() + withinMs
      for (;;) {
        const progress = await mesh.progress()
        if (isReached(progress)) return progress
        if (performance.now() > deadline) {
          throw new Error(`after ${withinMs} ms there is only ${JSON.stringify(progress)}: see ${directory}`)
        }
        await sleep(POLL_MS)
      }
    },
    receipts: async () => (await askAll({ type: 'receipts' }, 'receipts')).flatMap(({ receipts }) => receipts),
    async renew(count, leftMs) {
      const atMs = Date.now() + LEAD_MS
      const total = fleets.reduce((sum, { pods }) => sum + pods.length, 0)
      const parts = await Promise.all(
        fleets.map(({ child, pods }) => {
          const own = Math.round((count * pods.length) / total)
          return child.ask({ type: 'renew', count: own, atMs, leftMs }, 'renewed')
        }),
      )
      return parts.flatMap(({ renewals }) => renewals)
    },
    async close() {
      await Promise.all([...fleets.map(({ child }) => child.kill()), operator?.kill()])
    },
  }
  return mesh
}
