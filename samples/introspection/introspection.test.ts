import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

let state: string
let mesh: LocalMesh

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-introspection-'))
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

const at = (path: string) => `http://127.0.0.1:${mesh.httpPort}${path}`

/** By client credentials: random characters. */
async function tokenFor(scope: string): Promise<string> {
  const secret = (await mesh.secret('bank', 'auth-clients', 'branch')).trim()
  const response = await fetch(at('/token'), {
    method: 'POST',
    headers: { connection: 'close', authorization: `Basic ${btoa(`branch:${encodeURIComponent(secret)}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  })
  const answer = (await response.json()) as { readonly access_token?: string }
  assert.equal(response.status, 200, JSON.stringify(answer))
  assert.ok(answer.access_token !== undefined)
  return answer.access_token
}

async function read(token: string | undefined) {
  const headers = { connection: 'close', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  const response = await fetch(at('/accounts/7'), { headers: { ...headers, 'x-client': 'root' } })
  return { status: response.status, body: (await response.text()).trim() }
}

test('a token that only its issuer understands opens what its scope is for, and the application never sees it', async () => {
  assert.deepEqual(mesh.issues, [])
  const token = await tokenFor('accounts:read')
  assert.ok(!token.includes('.'), 'it is no JWT')
  assert.deepEqual(await read(token), { status: 200, body: 'GET /accounts/7 by branch, token: none' })
  assert.equal((await read(await tokenFor('accounts:write'))).status, 403)
})

test('a token that its issuer does not know is none, and no token opens nothing', async () => {
  const unknown = await read('made-up')
  assert.equal(unknown.status, 401)
  assert.match(unknown.body, /opaque-token-inactive/)
  assert.match((await read(undefined)).body, /opaque-token-missing/)
})

test('nobody but the sidecar may ask the issuer', async () => {
  const response = await fetch(at('/introspect'), { method: 'POST', headers: { connection: 'close' } })
  assert.equal(response.status, 401, 'it is a path of accounts, like any other')
})
