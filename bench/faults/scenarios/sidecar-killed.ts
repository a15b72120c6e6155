import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { startApp } from '../world/app.ts'
import { assertNothingLost, startLoad, tell } from '../world/load.ts'
import { openMesh } from '../world/mesh.ts'
import { until } from '../world/until.ts'

/** The first byte of a TLS record of the handshake (RFC 8446, 5.1). */
const HANDSHAKE = 0x16

export const sidecarKilled: FaultScenario = {
  name: 'sidecar-killed',
  title: 'F12: a sidecar that is killed leaves no plaintext byte behind, and is back within 2 s of its start',
  async *run(tools) {
    const mesh = await openMesh(tools, { services: { app: 1 } })
    const pod = mesh.pods[0]!
    const app = await startApp(pod.appPort)
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 100, path: '/' })
    try {
      await sleep(3_000)
      const before = load.window()
      await sleep(2_000)
      const calm = await before.end()
      assertNothingLost(calm, 150)
      yield `before: ${tell(calm)}`

      const kept = (await pod.ask('/config')).text
      pod.program.signal('SIGKILL')
      await pod.program.ended
      const asked = app.asked
      // Somebody else takes the port as soon as it is free, and writes down what the gateway sends there.
      const heard: Buffer[] = []
      const dialled: Socket[] = []
      const impostor = createServer((socket) => {
        dialled.push(socket)
        socket.on('error', () => {})
        socket.on('data', (chunk: Buffer) => heard.push(chunk))
      })
      await new Promise<void>((resolve, reject) => {
        impostor.once('error', reject)
        impostor.listen(pod.inboundPort, '127.0.0.1', resolve)
      })
      await until('the gateway dials', () => heard.length > 0)
      await sleep(1_000)
      assert.ok(
        heard.every((chunk) => chunk[0] === HANDSHAKE),
        'something else than a TLS handshake was sent',
      )
      assert.ok(!Buffer.concat(heard).includes('HTTP/1.'), 'a request was sent in plaintext')
      assert.equal(app.asked, asked, 'the application was reached without its sidecar')
      yield `killed: ${heard.length} connections to the port that an impostor took, of each a ClientHello and nothing else`

      for (const socket of dialled) socket.destroy()
      await new Promise((resolve) => impostor.close(resolve))
      const startedMs = performance.now()
      const starting = pod.start()
      await until('a request is answered', async () => (await once(mesh.gateway.port)) === 200, 5_000)
      const tookMs = performance.now() - startedMs
      await starting
      assert.ok(tookMs <= 2_000, `it took ${Math.round(tookMs)} ms`)
      assert.equal((await pod.ask('/config')).text, kept, 'it has the configuration that it had')
      yield `started again: the first 200 after ${Math.round(tookMs)} ms, with the configuration that it had`

      const after = load.window()
      await sleep(3_000)
      const healed = await after.end()
      assertNothingLost(healed, 200)
      yield `after: ${tell(healed)}`
    } finally {
      await load.stop()
      await mesh.close()
      await app.destroy()
    }
  },
}

async function once(port: number): Promise<number> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    async (response) => {
      await response.text()
      return response.status
    },
    () => 0,
  )
}
