import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MESH_ALPN } from '../../../contract/alpn.ts'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, percentile, startLoad, tell } from '../world/load.ts'
import { maxDescriptors } from '../world/machine.ts'
import { identityOf, openMesh } from '../world/mesh.ts'
import { until } from '../world/until.ts'

const CONNECTIONS = 10_000
const FEW = 1_000
const MAX_BYTES_EACH = 100 * 1024
const MAX_P99_MS = 50
const CLIENTS = 2

export const idleConnections: FaultScenario = {
  name: 'idle-connections',
  title: 'F16: 10,000 idle connections of mutual TLS cost at most 100 KB each, and who asks is answered',
  lacks() {
    const wanted = CONNECTIONS + 500
    return maxDescriptors() < wanted
      ? `a process may have ${maxDescriptors()} descriptors, and ${wanted} are needed`
      : undefined
  },
  async *run(tools) {
    const count = tools.isShort ? FEW : CONNECTIONS
    const mesh = await openMesh(tools, { services: { app: 1 } })
    const pod = mesh.pods[0]!
    const app = await startApp(pod.appPort)
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 20, path: '/' })
    const children: ChildProcess[] = []
    try {
      await sleep(3_000)
      const { privateKey, chain } = await identityOf(mesh.gateway)
      const before = pod.program.resident()
      for (let i = 0; i < CLIENTS; i++) {
        const given = {
          port: pod.inboundPort,
          count: count / CLIENTS,
          key: privateKey,
          cert: chain,
          alpn: MESH_ALPN.http,
          from: `127.0.0.${i + 2}`,
        }
        const program = join(import.meta.dirname, '..', 'idle-program.ts')
        children.push(
          spawn(process.execPath, [program, JSON.stringify(given)], { stdio: ['ignore', 'ignore', 'inherit'] }),
        )
      }
      const startedMs = performance.now()
      const open = async () => (await pod.metric('hauberk_open_connections')) >= count
      await until(`${count} connections are open`, open, 600_000)
      yield `${count} connections are open after ${Math.round((performance.now() - startedMs) / 1_000)} s`
      await sleep(5_000)
      const probe = load.window()
      await sleep(5_000)
      const each = (pod.program.resident() - before) / (await pod.metric('hauberk_open_connections'))
      const probed = await probe.end()
      assertNothingLost(probed, 80)
      const p99 = percentile(probed.latenciesMs, 0.99)
      assert.ok(each <= MAX_BYTES_EACH, `${Math.round(each / 1024)} KB each`)
      yield `each of them takes ${(each / 1024).toFixed(1)} KB of resident memory`
      assert.ok(p99 < MAX_P99_MS, `p99 is ${p99.toFixed(1)} ms`)
      yield `who asks meanwhile: ${tell(probed)}, p99 ${p99.toFixed(1)} ms`
    } finally {
      for (const child of children) child.kill('SIGKILL')
      await load.stop()
      await mesh.close()
      await app.destroy()
    }
  },
}
