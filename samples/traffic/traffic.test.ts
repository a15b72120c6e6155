import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

const REQUESTS = 24

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
  // One after the other: whoever was in a mood is not the next time, so that two more tries are always enough.
  const all = []
  for (let i = 0; i < REQUESTS; i++) all.push(await ask('/'))
  assert.deepEqual(new Set(all.map(({ status }) => status)), new Set([200]))
  const names = new Set(all.map(({ body }) => body))
  assert.ok(names.has('quotes-steady'), [...names].join())
})

test('the next version has been shown a copy of each request', async () => {
  await untilSeen(REQUESTS)
  assert.equal((await ask('/')).status, 200)
  await untilSeen(REQUESTS + 1)
})

/** A copy is on its way when the answer is there already. */
async function untilSeen(copies: number): Promise<void> {
  for (const startedMs = Date.now(); Number((await ask('/next/seen')).body) < copies; ) {
    assert.ok(Date.now() - startedMs < 30_000, `${copies} copies arrive`)
  }
}
