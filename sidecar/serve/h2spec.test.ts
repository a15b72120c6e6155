import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startSessionServer } from './http2/testing/session-server.ts'
import { httpBackend } from './testing/backend.ts'
import { findH2spec, type H2specTarget, INSTALL_H2SPEC, runH2spec } from './testing/h2spec.ts'
import { createTestMesh, gateway, startGateway } from './testing/world.ts'

const program = findH2spec(process.env)
const skip = program === undefined && `SKIPPED: h2spec is not here. To have it: ${INSTALL_H2SPEC}`
if (skip !== false) console.error(skip)

const ALL_OF_IT = '146 tests, 146 passed, 0 skipped, 0 failed'

async function assertPasses(target: H2specTarget): Promise<void> {
  const { closing, output } = await runH2spec(program!, target)
  assert.equal(closing, ALL_OF_IT, output)
}

test('h2spec passes in full against a plain server over the session', { skip }, async (t) => {
  const server = await startSessionServer()
  t.after(() => server.close())
  await assertPasses({ host: '127.0.0.1', port: server.port, tls: false })
})

test('h2spec passes in full against a gateway', { skip }, async (t) => {
  const mesh = await createTestMesh()
  // It answers once the request is whole, as applications do: one that answered sooner would race with what h2spec sends next.
  const app = await httpBackend(t, (request, response) => {
    request.resume().on('end', () => response.end('hello'))
  })
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: ['localhost'] })
  const certificate = { source: 'secret', name: 'localhost', certificate: chain, privateKey } as const
  const listener = gateway({ name: 'https', port: 443, protocol: 'https', certificates: [certificate] })
  const plane = await startGateway(t, mesh, app.port, { listeners: [listener] })
  await assertPasses({ host: 'localhost', port: plane.port('https'), tls: true })
})
