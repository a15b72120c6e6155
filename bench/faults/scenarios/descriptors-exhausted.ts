import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, startLoad, tell } from '../world/load.ts'
import { lacksPrograms } from '../world/machine.ts'
import { openMesh } from '../world/mesh.ts'
import { until } from '../world/until.ts'

const DESCRIPTORS = 200
const CROWD = 500
const RECOVER_MS = 2_000

export const descriptorsExhausted: FaultScenario = {
  name: 'descriptors-exhausted',
  title:
    'F17: a gateway without descriptors closes what is too much at once, keeps whom it has, and recovers within 2 s',
  lacks: () => lacksPrograms('prlimit'),
  async *run(tools) {
    const mesh = await openMesh(tools, {
      services: { app: 1 },
      gateway: { before: ['prlimit', `--nofile=${DESCRIPTORS}`, '--'] },
    })
    const pod = mesh.pods[0]!
    const app = await startApp(pod.appPort)
    // Those who are there already: their connections are kept.
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 50, path: '/' })
    const crowd: Socket[] = []
    try {
      await sleep(3_000)
      const during = load.window()
      const isGone = (socket: Socket) => socket.readableEnded || socket.destroyed
      for (let i = 0; i < CROWD; i++) {
        const socket = connect(mesh.gateway.port, '127.0.0.1')
        crowd.push(socket.on('error', () => {}).resume())
        if (i % 50 === 49) await sleep(20)
      }
      await until('what is too much is closed', () => crowd.filter(isGone).length > CROWD - DESCRIPTORS)
      yield `${CROWD} connections more than it has descriptors for: ${crowd.filter(isGone).length} were closed at once`
      await sleep(2_000)
      const crowded = await during.end()
      assert.equal(mesh.gateway.program.hasEnded(), false)
      assertNothingLost(crowded, 100)
      yield `who was there before: ${tell(crowded)}`

      for (const socket of crowd) socket.destroy()
      const freedMs = performance.now()
      await until(
        'a new client is answered',
        () =>
          fetch(`http://127.0.0.1:${mesh.gateway.port}/`, { headers: { connection: 'close' } }).then(
            ({ ok }) => ok,
            () => false,
          ),
        RECOVER_MS,
      )
      yield `the crowd is gone: a new client is answered after ${Math.round(performance.now() - freedMs)} ms`
    } finally {
      for (const socket of crowd) socket.destroy()
      await load.stop()
      await mesh.close()
      await app.destroy()
    }
  },
}
