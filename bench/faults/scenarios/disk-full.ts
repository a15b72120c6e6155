import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, startLoad, tell } from '../world/load.ts'
import { isRoot, runCommand } from '../world/machine.ts'
import { openMesh } from '../world/mesh.ts'
import { until } from '../world/until.ts'

export const diskFull: FaultScenario = {
  name: 'disk-full',
  title: 'F11: with a disk that is full, or cannot be written, log lines are lost and nothing else',
  lacks: () => (isRoot() ? undefined : 'it takes root to make a file system of its own'),
  async *run(tools) {
    const [disk, logs] = [join(tools.directory, 'disk'), join(tools.directory, 'logs')]
    const unmount = () => {
      for (const mounted of [disk, logs]) runCommand('umount', '--lazy', mounted)
    }
    for (const mounted of [disk, logs]) {
      await mkdir(mounted)
      runCommand('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mounted)
    }
    // State and certificates on the one, what is printed on the other.
    const mesh = await openMesh({ ...tools, directory: disk }, { services: { app: 1 }, logs }).catch(
      (error: unknown) => {
        unmount()
        throw error
      },
    )
    const pod = mesh.pods[0]!
    const app = await startApp(pod.appPort)
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 100, path: '/' })
    const noise = startLoad({ targets: () => [mesh.gateway.port], perSecond: 20, path: '/%zz' })
    const seconds = tools.isShort ? 3 : 8
    try {
      await sleep(3_000)
      for (const full of [disk, logs]) {
        await writeFile(join(full, 'ballast'), Buffer.alloc(4 * 1024 * 1024)).catch(() => {})
      }
      const full = load.window()
      await sleep(seconds * 1_000)
      const count = await full.end()
      assertNothingLost(count, 50 * seconds)
      const dropped = await until(
        'lines are dropped',
        async () => (await mesh.gateway.metric('hauberk_log_lines_dropped')) || false,
      )
      yield `full: ${tell(count)}, ${dropped} lines of the log dropped`

      const version = JSON.parse((await pod.ask('/config')).text).version as string
      runCommand('mount', '-o', 'remount,ro', disk)
      const readOnly = load.window()
      await sleep(seconds * 1_000)
      const still = await readOnly.end()
      assertNothingLost(still, 50 * seconds)
      yield `read-only: ${tell(still)}`
      runCommand('mount', '-o', 'remount,rw', disk)
      for (const full of [disk, logs]) await rm(join(full, 'ballast'))
      assert.equal(JSON.parse((await pod.ask('/config')).text).version, version)
      await sleep(2_000)
      const before = await mesh.gateway.metric('hauberk_log_lines_dropped')
      await sleep(2_000)
      assert.equal(await mesh.gateway.metric('hauberk_log_lines_dropped'), before, 'lines are written again')
      yield 'with room again, lines are written again'
    } finally {
      await Promise.all([load.stop(), noise.stop()])
      await mesh.close()
      await app.destroy()
      unmount()
    }
  },
}
