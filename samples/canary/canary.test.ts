import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-canary-'))
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

async function ask(headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${mesh.httpPort}/`, { headers: { connection: 'close', ...headers } })
  return `${response.status} ${(await response.text()).trim()}`
}

test('of ten requests one gets the next version, and its caller knows nothing of it', async () => {
  assert.deepEqual(mesh.issues, [])
  const answers = []
  for (let i = 0; i < 20; i++) answers.push(await ask())
  // The weights are kept to, not drawn.
  assert.equal(answers.filter((answer) => answer === '200 orders').length, 18, answers.join())
  assert.equal(answers.filter((answer) => answer === '200 orders-next').length, 2, answers.join())
})

test('testers get the next version each time', async () => {
  for (let i = 0; i < 5; i++) assert.equal(await ask({ 'x-tester': 'yes' }), '200 orders-next')
})
