import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from '../service/serve.ts'
import { captureLog } from '../testing/captured-log.ts'
import { createCatalog } from './app.ts'

async function startCatalog(t: { after(fn: () => Promise<void>): void }, maxProducts?: number) {
  const running = await serve(createCatalog(captureLog().log, maxProducts), { host: '127.0.0.1', port: 0 })
  t.after(() => running.stop())
  return async (method: string, path: string, json?: unknown) => {
    const body =
      json === undefined ? {} : { body: JSON.stringify(json), headers: { 'content-type': 'application/json' } }
    const response = await fetch(running.url + path, { method, ...body })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined }
  }
}

const SHIELD = { id: 'shield', name: 'Heater shield', description: 'Poplar and linen.', priceCents: 12_300 }

test('products are listed and read one by one', async (t) => {
  const call = await startCatalog(t)
  const { body } = await call('GET', '/products')
  assert.equal(body.products.length, 6)
  assert.equal((await call('GET', '/products/coif')).body.priceCents, 18_500)
  const missing = await call('GET', '/products/crossbow')
  assert.equal(missing.status, 404)
  assert.equal(missing.headers.get('content-type'), 'application/problem+json; charset=utf-8')
})

test('a product is added, changed and removed', async (t) => {
  const call = await startCatalog(t)
  assert.equal((await call('POST', '/products', SHIELD)).status, 201)
  assert.equal((await call('POST', '/products', SHIELD)).status, 409)
  assert.equal((await call('PUT', '/products/shield', { ...SHIELD, id: 'other', priceCents: 9_900 })).status, 200)
  assert.deepEqual((await call('GET', '/products/shield')).body, { ...SHIELD, priceCents: 9_900 })
  assert.equal((await call('DELETE', '/products/shield')).status, 204)
  assert.equal((await call('GET', '/products/shield')).status, 404)
})

test('what is no product is refused', async (t) => {
  const call = await startCatalog(t)
  for (const change of [{ id: '../x' }, { name: '' }, { priceCents: 1.5 }, { priceCents: -1 }, { description: 7 }]) {
    assert.equal((await call('POST', '/products', { ...SHIELD, ...change })).status, 422)
  }
  assert.equal((await call('POST', '/products')).status, 422)
})

test('the catalog is bounded', async (t) => {
  const call = await startCatalog(t, 8)
  for (const id of ['a', 'b']) assert.equal((await call('POST', '/products', { ...SHIELD, id })).status, 201)
  assert.equal((await call('POST', '/products', { ...SHIELD, id: 'c' })).status, 507)
})
