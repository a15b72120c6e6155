import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-traffic-'))
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

async function ask(path: string): Promise<{ readonly status: number; readonly body: string }> {
  const response = await fetch(`http://127.0.0.1:${mesh.httpPort}${path}`, { headers: { connection: 'close' } })
  return { status: response.status, body: await response.text() }
}

test('of replicas that fail and dawdle every other time nobody outside sees anything', async () => {
  assert.deepEqual(mesh.issues, [])
  const answers = await Promise.all(Array.from({ length: 5 }, () => askOneAfterTheOther(12)))
  const all = answers.flat()
  assert.deepEqual(new Set(all.map(({ status }) => status)), new Set([200]))
  const names = new Set(all.map(({ body }) => body))
  assert.ok(names.has('quotes-steady'), [...names].join())
})

test('the next version has been shown a copy of each request', async () => {
  const before = Number((await ask('/next/seen')).body)
  assert.ok(before >= 60, String(before))
  assert.equal((await ask('/')).status, 200)
  for (const startedMs = Date.now(); Number((await ask('/next/seen')).body) === before; ) {
    assert.ok(Date.now() - startedMs < 30_000, 'a copy arrives')
  }
})

async function askOneAfterTheOther(count: number) {
  const answers = []
  for (let i = 0; i < count; i++) answers.push(await ask('/'))
  return answers
}
