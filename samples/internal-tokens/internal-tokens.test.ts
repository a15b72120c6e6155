import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-internal-tokens-'))
  mesh = await startLocalMesh({
    files: [import.meta.dirname],
    stateDirectory: join(state, 'state'),
    httpsPort: 0,
    httpPort: 0,
  })
})

after(async () => {
  await mesh?.stop()
  await rm(state, { recursive: true, force: true })
})

const at = (path: string) => `http://127.0.0.1:${mesh.httpPort}${path}`

async function tokenOf(name: string, scope: string): Promise<string> {
  const secret = (await mesh.secret('depot', 'people', 'secret')).trim()
  const response = await fetch(at('/token'), {
    method: 'POST',
    headers: { connection: 'close', authorization: `Basic ${btoa(`${name}:${encodeURIComponent(secret)}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  })
  const answer = (await response.json()) as { readonly access_token?: string }
  assert.ok(response.status === 200 && answer.access_token !== undefined, JSON.stringify(answer))
  return answer.access_token
}

async function get(path: string, token: string, headers: Readonly<Record<string, string>> = {}) {
  const own = { connection: 'close', authorization: `Bearer ${token}`, ...headers }
  const response = await fetch(at(path), { headers: own })
  return { status: response.status, body: (await response.text()).trim() }
}

test('a user is known two hops behind the gateway, where no token of theirs ever was', async () => {
  assert.deepEqual(mesh.issues, [])
  const [ann, bob] = await Promise.all([tokenOf('ann', 'orders.read'), tokenOf('bob', 'orders.read orders.write')])
  const answers = await Promise.all([get('/page', ann), get('/page', bob)])
  assert.deepEqual(
    answers,
    ['ann', 'bob'].map((user) => ({ status: 200, body: `orders of ${user}, token: none, internal token: none` })),
  )
})

test('a user whose token lacks the scope gets no further than the service that asks for it', async () => {
  const { status, body } = await get('/page', await tokenOf('ann', 'orders.write'))
  assert.equal(status, 403)
  assert.match(body, /internal-token-scope/)
})

test('a call that passes no trace on speaks for nobody, and is refused where a user is asked for', async () => {
  const { status, body } = await get('/alone', await tokenOf('ann', 'orders.read'))
  assert.equal(status, 403)
  assert.match(body, /internal-token-without-user/)
})

test('what comes from outside as an internal token is none', async () => {
  const { status, body } = await get('/page', await tokenOf('ann', 'orders.read'), { 'txn-token': 'made.up.token' })
  assert.deepEqual([status, body], [200, 'orders of ann, token: none, internal token: none'])
})
