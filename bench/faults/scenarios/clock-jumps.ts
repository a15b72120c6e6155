import assert from 'node:assert/strict'
import { globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, startLoad, tell } from '../world/load.ts'
import { openMesh } from '../world/mesh.ts'
import { until } from '../world/until.ts'

/** Minutes that a node's clock may be wrong by without anybody noticing. */
const SKEW_MINUTES = 5

export const clockJumps: FaultScenario = {
  name: 'clock-jumps',
  title:
    'F10: clocks that are five minutes wrong, or jump, cost nothing; one that is past a certificate closes the door',
  lacks: () => (libraryFile() === undefined ? 'not installed: libfaketime' : undefined),
  async *run(tools) {
    const clockFile = join(tools.directory, 'clock')
    const setClock = (offset: string) => writeFileSync(clockFile, offset)
    setClock(`-${SKEW_MINUTES}m`)
    const env = {
      LD_PRELOAD: libraryFile() ?? '',
      FAKETIME_TIMESTAMP_FILE: clockFile,
      // It looks at the file each time, and leaves timers alone: a clock that jumps is no clock that runs faster.
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
    const mesh = await openMesh(tools, { services: { app: 1 } })
    const pod = mesh.pods[0]!
    const app = await startApp(pod.appPort)
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 50, path: '/' })
    const seconds = tools.isShort ? 2 : 5
    const counted = async () => {
      const window = load.window()
      await sleep(seconds * 1_000)
      return window.end()
    }
    try {
      await pod.program.stop()
      await pod.start({ env })
      await until('a request is answered', () =>
        fetch(`http://127.0.0.1:${mesh.gateway.port}/`).then(
          ({ ok }) => ok,
          () => false,
        ),
      )
      await sleep(2_000)
      const behind = await counted()
      assertNothingLost(behind, 40 * seconds)
      yield `a sidecar whose clock is ${SKEW_MINUTES} minutes behind, with a new certificate: ${tell(behind)}`

      const jumping = load.window()
      for (const offset of [`+${SKEW_MINUTES}m`, '+0', `-${SKEW_MINUTES}m`, `+${SKEW_MINUTES}m`, '+0']) {
        setClock(offset)
        await sleep(seconds * 500)
      }
      const jumped = await jumping.end()
      assertNothingLost(jumped, 50)
      yield `it jumps back and forth by ${SKEW_MINUTES} and ${2 * SKEW_MINUTES} minutes: ${tell(jumped)}`

      setClock('+3d')
      const asked = app.asked
      await until('nobody is let in any more', async () => (await ask(mesh.gateway.port)) !== 200, 90_000)
      await sleep(1_000)
      yield `it jumps past the end of the certificates: closed, after ${app.asked - asked} requests`
      setClock('+0')
      await until('it serves again', async () => (await ask(mesh.gateway.port)) === 200, 60_000)
      await sleep(2_000)
      const healed = await counted()
      assertNothingLost(healed, 40 * seconds)
      yield `the clock is right again: ${tell(healed)}`
      assert.equal(pod.program.hasEnded(), false)
    } finally {
      await load.stop()
      await mesh.close()
      await app.destroy()
    }
  },
}

/** As Debian and others install it. */
function libraryFile(): string | undefined {
  return globSync('/usr/lib/{*,*/*,}/libfaketime.so.1')[0] ?? globSync('/usr/lib/*/faketime/libfaketime.so.1')[0]
}

function ask(port: number): Promise<number> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    async (response) => {
      await response.text()
      return response.status
    },
    () => 0,
  )
}
