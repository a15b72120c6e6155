import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { MESH_ALPN } from '../../../contract/alpn.ts'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { lacksControlGroups, makeControlGroup } from '../world/cgroup.ts'
import { identityOf, openMesh } from '../world/mesh.ts'

/** What the sidecar's container may have: little of a CPU, so that a laptop can ask five times too much of it. */
const SHARE = { cpu: 0.15, memoryBytes: 256 * 1024 * 1024 }

const TIMES = 5
const MIN_SHARE = 0.8
const PEAK_CONNECTIONS = 32
const CROWD = 400

interface Counts {
  readonly ok: number
  readonly refused: number
  readonly withoutRetryAfter: number
  /** By status. */
  readonly other: Readonly<Record<string, number>>
  readonly broken: number
  readonly unsent: number
}

const NOTHING_WRONG: Counts = { ok: 0, refused: 0, withoutRetryAfter: 0, other: {}, broken: 0, unsent: 0 }

export const overload: FaultScenario = {
  name: 'overload',
  title:
    'F18: asked five times what it can, a sidecar answers at least 80 % of its best, and tells the others to come later',
  lacks: lacksControlGroups,
  async *run(tools) {
    const mesh = await openMesh(tools, { services: { app: 1 } })
    const pod = mesh.pods[0]!
    const app = await startApp(pod.appPort)
    const group = makeControlGroup(`hauberk-faults-${process.pid}`, SHARE)
    try {
      // As its image starts it, in its container.
      await pod.program.stop()
      await pod.start({
        before: ['sh', '-c', 'for f in $0; do echo $$ > $f; done; exec "$@"', group.files.join(' ')],
        node: ['--max-old-space-size-percentage=50'],
      })
      const { privateKey: key, chain: cert } = await identityOf(mesh.gateway)
      const forMs = tools.isShort ? 3_000 : 8_000
      const generate = (load: { readonly connections: number; readonly perSecond?: number }): Promise<Generated> =>
        generateOn(pod.program.pid, { port: pod.inboundPort, key, cert, alpn: MESH_ALPN.http, forMs, ...load })
      const best = await generate({ connections: PEAK_CONNECTIONS })
      const peak = (best.counts.ok * 1_000) / forMs
      assert.deepEqual({ ...best.counts, ok: 0 }, NOTHING_WRONG)
      yield `its best: ${told(best, forMs)}, with ${SHARE.cpu} of a CPU at most`

      const probes = { answered: 0, slowestMs: 0, failed: 0 }
      let isLoaded = true
      const probing = (async () => {
        while (isLoaded) {
          const startedMs = performance.now()
          const { status } = await pod.ask('/readyz')
          if (status === 200) probes.answered += 1
          else probes.failed += 1
          probes.slowestMs = Math.max(probes.slowestMs, performance.now() - startedMs)
          await sleep(200)
        }
      })()
      const asked = Math.round(peak * TIMES)
      const crowded = await generate({ connections: CROWD, perSecond: asked })
      isLoaded = false
      await probing
      const { counts } = crowded
      yield `asked for ${asked} a second: ${told(crowded, forMs)}; ${counts.refused} told to come later, ${counts.unsent} nobody could take`
      assert.equal(pod.program.hasEnded(), false)
      assert.equal(group.killed(), 0)
      assert.equal(counts.withoutRetryAfter, 0)
      assert.deepEqual(counts.other, {})
      assert.equal(probes.failed, 0, 'its health was not told')
      const mebibytes = Math.round(pod.program.resident() / 2 ** 20)
      yield `alive with ${mebibytes} MB; its health was told ${probes.answered} times, after ${Math.round(probes.slowestMs)} ms at most`
      const again = await generate({ connections: PEAK_CONNECTIONS })
      yield `afterwards: ${told(again, forMs)}`
      const ofBest = crowded.perCpuSecond / Math.max(best.perCpuSecond, again.perCpuSecond)
      assert.ok(ofBest >= MIN_SHARE, `${Math.round(ofBest * 100)} % of what it answers at its best with as much CPU`)
      yield `that is ${Math.round(ofBest * 100)} % of its best, by the CPU that it had`
    } finally {
      await mesh.close()
      await app.destroy()
      group.remove()
    }
  },
}

interface Generated {
  readonly counts: Counts
  /** Answered with 200, for each second that the sidecar was on a CPU: what others of the machine take is left out. */
  readonly perCpuSecond: number
}

function told({ counts, perCpuSecond }: Generated, forMs: number): string {
  return `${Math.round((counts.ok * 1_000) / forMs)} answered a second, ${Math.round(perCpuSecond)} for each second of CPU`
}

/** Resolves when the generator has counted; it prints a line when it begins to. */
async function generateOn(pid: number, given: object): Promise<Generated> {
  const program = join(import.meta.dirname, '..', 'overload-program.ts')
  const child = spawn(process.execPath, [program, JSON.stringify(given)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let startedCpu = 0
  let counts: Counts | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'counting') startedCpu = cpuSecondsOf(pid)
    else counts = JSON.parse(line) as Counts
  }
  if (counts === undefined) throw new Error('the generator ended without a word')
  return { counts, perCpuSecond: counts.ok / (cpuSecondsOf(pid) - startedCpu) }
}

/** Of all its threads, as field 1 of schedstat tells it in nanoseconds. */
function cpuSecondsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  )
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9
}
