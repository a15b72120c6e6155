import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'

test('a thread reaches the kernel as the first one does, to learn where captured connections were going', async () => {
  const source = `
    import { createServer, connect } from 'node:net'
    import { once } from 'node:events'
    import { parentPort } from 'node:worker_threads'
    import { openPlace } from ${JSON.stringify(new URL('./place.ts', import.meta.url).href)}
    import { openOriginalDestination } from ${JSON.stringify(new URL('../capture/original-destination.ts', import.meta.url).href)}
    const place = { kind: 'pod', told: { role: 'sidecar' }, podIps: ['10.0.0.7'], ports: { inbound: 15006, outbound: 15001 } }
    const { capture, placement } = await openPlace(place, () => undefined)
    const original = openOriginalDestination()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect(server.address().port, '127.0.0.1')
    const [accepted] = await once(server, 'connection')
    const where = original(accepted)
    client.destroy()
    server.close()
    parentPort.postMessage([capture.dialHost('10.0.0.7'), placement.gateway.length, where === undefined || where.address === '127.0.0.1'])`
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`))
  assert.deepEqual(((await once(thread, 'message')) as [unknown])[0], ['127.0.0.6', 0, true])
  await once(thread, 'exit')
})
