import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-external-authorization-'))
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

async function ask(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') {
  const response = await fetch(`http://127.0.0.1:${mesh.httpPort}${path}`, {
    method,
    headers: { connection: 'close', ...headers },
  })
  const body = (await response.text()).trim()
  return { said: `${response.status} ${body}`, challenge: response.headers.get('www-authenticate') }
}

test('the guard decides who reaches the desk, and tells it who that is', async () => {
  assert.deepEqual(mesh.issues, [])
  assert.equal((await ask('/', { 'x-badge': 'b-1' })).said, '200 GET / by ann')
  assert.equal((await ask('/', { 'x-badge': 'b-1' }, 'POST')).said, '200 POST / by ann')
  assert.equal((await ask('/', { 'x-badge': 'b-2' })).said, '200 GET / by visitor')
  assert.equal((await ask('/', { 'x-badge': 'b-2' }, 'POST')).said, '403 visitors only look')
})

test('a name that somebody gives himself does not reach the desk', async () => {
  assert.equal((await ask('/', { 'x-badge': 'b-2', 'x-user': 'ann' })).said, '200 GET / by visitor')
  assert.deepEqual(await ask('/', { 'x-user': 'ann' }), { said: '401 show your badge', challenge: 'Badge' })
})

test('who has been let in is let in again without a question', async () => {
  assert.equal((await ask('/again', { 'x-badge': 'b-1' })).said, '200 GET /again by ann')
  const before = (await ask('/asked')).said
  for (let i = 0; i < 5; i++) assert.equal((await ask('/again', { 'x-badge': 'b-1' })).said, '200 GET /again by ann')
  assert.equal((await ask('/asked')).said, before)
})
