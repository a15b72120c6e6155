import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Contestant, type Figures, type Stage, VoidRound, type Work, WrongAnswerError } from '../scenario.ts'
import type { KeyAndChain } from '../world/certificates.ts'
import { type Child, startChild } from '../world/child.ts'
import { measureSteady } from './steady.ts'
import { HTTP1_ALPN } from './tools.ts'

/** Messages that are sent one after the other on each connection; the next when the last has come back. */
export interface EchoLoad {
  readonly kind: 'tcp' | 'websocket'
  readonly connections: number
  /** Of a message; a multiple of 8 between 126 and 65,535. */
  readonly bytes: number
}

export interface EchoSettings extends EchoLoad {
  readonly port: number
  /** PEM. */
  readonly root: string
  readonly certificate: KeyAndChain | undefined
  readonly alpn: readonly string[]
}

export type EchoAsk =
  | { readonly type: 'run'; readonly settings: EchoSettings }
  | { readonly type: 'count' }
  | { readonly type: 'stop' }
export type EchoAnswer =
  | { readonly type: 'counted'; readonly returned: number; readonly problem?: string }
  | { readonly type: 'stopped'; readonly returned: number; readonly problem?: string }

type Generator = Child<EchoAsk, EchoAnswer>

/** Milliseconds in which a message comes back, or the connection is closed to whom a proxy refuses. */
const CHECK_MS = 5_000
const POLL_MS = 10

export function echoLoop(load: EchoLoad): Work {
  return {
    programs: ['gcc', 'taskset', 'nginx'],
    async check(stage) {
      const { contestant, world } = stage
      const { client, foreign, stranger } = world.certificates
      const certificates = {
        'no-certificate': undefined,
        'foreign-certificate': foreign,
        'other-identity': stranger,
      } as const
      if (!(await isEchoed(stage, load, client))) throw new WrongAnswerError(`${contestant.name} does not echo`)
      for (const refusal of contestant.refuses) {
        if (!isCertificateRefusal(refusal)) throw new Error(`${refusal} is nothing that can be refused here`)
        if (await isEchoed(stage, load, certificates[refusal])) {
          throw new WrongAnswerError(`${contestant.name}: ${refusal} is served`)
        }
      }
      return undefined
    },
    measure: (stage, seconds) => measureEcho(stage, seconds, load),
  }
}

function isCertificateRefusal(
  refusal: Contestant['refuses'][number],
): refusal is 'no-certificate' | 'foreign-certificate' | 'other-identity' {
  return refusal === 'no-certificate' || refusal === 'foreign-certificate' || refusal === 'other-identity'
}

/** Whether a message comes back on one connection. */
async function isEchoed(stage: Stage, load: EchoLoad, certificate: KeyAndChain | undefined): Promise<boolean> {
  const generator = await startGenerator(stage)
  try {
    await begin(generator, stage, { ...load, connections: 1 }, certificate)
    const deadline = performance.now() + CHECK_MS
    while (performance.now() < deadline) {
      const { returned, problem } = await generator.ask({ type: 'count' }, 'counted')
      if (returned > 0) return true
      if (problem !== undefined) return false
      await sleep(POLL_MS)
    }
    return false
  } finally {
    await generator.kill()
  }
}

async function measureEcho(stage: Stage, seconds: number, load: EchoLoad): Promise<Figures> {
  const generator = await startGenerator(stage)
  try {
    const count = async () => (await generator.ask({ type: 'count' }, 'counted')).returned
    const generate = async (allSeconds: number) => {
      await begin(generator, stage, load, stage.world.certificates.client)
      await sleep(allSeconds * 1_000)
      const { problem } = await generator.ask({ type: 'stop' }, 'stopped')
      if (problem !== undefined) throw new VoidRound(`${stage.contestant.name}: ${problem}`)
    }
    return await measureSteady(stage, seconds, generate, count)
  } finally {
    await generator.kill()
  }
}

function startGenerator({ directory, world }: Stage): Promise<Generator> {
  return startChild(join(import.meta.dirname, 'echo-program.ts'), {
    cores: [world.cores.rest],
    logFile: join(directory, 'echo.log'),
  })
}

/** Starts the load; resolves once the generator has been told. */
async function begin(
  generator: Generator,
  { world, peer }: Stage,
  load: EchoLoad,
  certificate: KeyAndChain | undefined,
): Promise<void> {
  const alpn = load.kind === 'tcp' ? ['hauberk/tcp'] : HTTP1_ALPN
  const settings: EchoSettings = { ...load, port: peer.port, root: world.certificates.root, certificate, alpn }
  generator.tell({ type: 'run', settings })
  await generator.ask({ type: 'count' }, 'counted')
}
