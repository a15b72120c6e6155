import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-passthrough-'))
  mesh = await startLocalMesh({
    files: [import.meta.dirname],
    stateDirectory: join(state, 'state'),
    httpsPort: 0,
    httpPort: 0,
    readyMs: 150_000,
  })
})

after(async () => {
  await mesh?.stop()
  await rm(state, { recursive: true, force: true })
})

/** The name in the certificate that a client is shown, and what it is told then. */
async function ask(listener: string, servername: string): Promise<{ readonly shown: string; readonly said: string }> {
  const found = mesh.listeners.find(({ name }) => name === listener)
  assert.ok(found, `${listener} is published`)
  // Nobody vouches for the certificate of this application: whose it is, its name says.
  const socket = connect({ host: '127.0.0.1', port: found.localPort, servername, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const shown = socket.getPeerCertificate().subject.CN
  socket.write('hello\n')
  const [said] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return { shown: String(shown), said: said.toString() }
}

test('TLS goes from end to end by the name asked for, and the gateway shows no certificate of its own', async () => {
  assert.deepEqual(mesh.issues, [])
  assert.deepEqual(await ask('tls', 'keys.vault.example'), {
    shown: 'keys.vault.example',
    said: 'keys.vault.example was asked for as keys.vault.example\n',
  })
})

test('a name that no route is for is told so, and goes no further', async () => {
  await assert.rejects(ask('tls', 'other.vault.example'), /unrecognized name/i)
})

test('all connections of a listener of TCP go to one place, whatever they ask for', async () => {
  assert.deepEqual(await ask('tcp', 'other.vault.example'), {
    shown: 'keys.vault.example',
    said: 'keys.vault.example was asked for as other.vault.example\n',
  })
})
