import assert from 'node:assert/strict'
import { before, describe, it, type TestContext } from 'node:test'
import type { GatewayListener } from '../../contract/workload-config.ts'
import type { GatewayPlace } from './placement.ts'
import { freePort } from './testing/backend.ts'
import { dialPlain, get } from './testing/client.ts'
import { createTestMesh, gateway, route, startPlane, type TestMesh, workloadConfig } from './testing/world.ts'

/** Answers everything with this status. */
function answering(name: string, port: number, status: number, more: Partial<GatewayListener> = {}): GatewayListener {
  return gateway({ name, port, routes: [route({ kind: 'respond', status })], ...more })
}

describe('a gateway whose listeners change', () => {
  let mesh: TestMesh
  before(async () => {
    mesh = await createTestMesh()
  })

  /** Each listener is bound on its own port, as in a pod. */
  async function start(t: TestContext, ...first: readonly GatewayListener[]) {
    let listeners = first
    const config = () => workloadConfig(listeners, { role: 'gateway' })
    const placement = {
      inbound: [],
      tcp: [],
      get gateway(): readonly GatewayPlace[] {
        return listeners.map(({ name, port }) => ({ listener: name, bind: { host: '127.0.0.1', port } }))
      },
    }
    const identity = await mesh.identity('gateway')
    const plane = await startPlane(t, { identity, config: config(), placement: {}, options: { placement } })
    const swap = (...next: readonly GatewayListener[]) => {
      listeners = next
      return plane.swap(config())
    }
    const dial = async (port: number) => {
      const client = await dialPlain(port)
      t.after(() => client.destroy())
      return client
    }
    return { plane, swap, dial }
  }

  const request = (host: string) => get('/', [], host)

  it('takes a new one on the same port without closing it', async (t) => {
    const port = await freePort()
    const shop = answering('shop', port, 201, { hostname: 'shop.example' })
    const { plane, swap, dial } = await start(t, shop)
    const open = await dial(port)
    assert.equal((await open.request(request('shop.example'))).status, 201)
    assert.equal((await open.request(request('blog.example'))).status, 404)

    const waiting = await dial(port)
    await swap(shop, answering('blog', port, 202, { hostname: 'blog.example' }))
    for (const client of [open, waiting, await dial(port)]) {
      assert.equal((await client.request(request('blog.example'))).status, 202)
      assert.equal((await client.request(request('shop.example'))).status, 201)
    }
    assert.deepEqual(
      plane.plane.listeners().map(({ name }) => name),
      ['shop', 'blog'],
    )
    assert.equal(plane.requests.at(-1)?.listener, 'shop')
  })

  it('lets one go, and keeps the other on their port', async (t) => {
    const port = await freePort()
    const shop = answering('shop', port, 201, { hostname: 'shop.example' })
    const { swap, dial } = await start(t, shop, answering('blog', port, 202, { hostname: 'blog.example' }))
    const client = await dial(port)
    assert.equal((await client.request(request('blog.example'))).status, 202)
    await swap(shop)
    assert.equal((await client.request(request('blog.example'))).status, 404)
    assert.equal((await client.request(request('shop.example'))).status, 201)
  })

  it('opens a new port, moves to another, and closes the one that nobody wants', async (t) => {
    const [first, second, third] = await Promise.all([freePort(), freePort(), freePort()])
    const { swap, dial } = await start(t, answering('shop', first, 201))
    await swap(answering('shop', first, 201), answering('blog', second, 202))
    assert.equal((await (await dial(second)).request(request('any.example'))).status, 202)
    await swap(answering('shop', third, 201), answering('blog', second, 202))
    assert.equal((await (await dial(third)).request(request('any.example'))).status, 201)
    await assert.rejects(dial(first), { code: 'ECONNREFUSED' })
  })

  it('F19: once it retires answers every request with Connection: close, and goes on accepting', async (t) => {
    const port = await freePort()
    const { plane, dial } = await start(t, answering('shop', port, 201))
    const open = await dial(port)
    assert.equal((await open.request(request('shop.example'))).headers.get('connection'), undefined)
    plane.plane.retire()
    for (const client of [open, await dial(port)]) {
      const response = await client.request(request('shop.example'))
      assert.equal(response.status, 201)
      assert.equal(response.headers.get('connection'), 'close')
      await client.closed()
    }
  })
})
