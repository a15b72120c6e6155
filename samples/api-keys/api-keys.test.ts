import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'
import { runHauberk } from '../../cli/testing/run-hauberk.ts'

let directory: string
let mesh: LocalMesh
let acme: string
let globex: string

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hauberk-api-keys-'))
  await cp(import.meta.dirname, join(directory, 'sample'), { recursive: true })
  acme = await makeKey('acme')
  globex = await makeKey('globex')
  mesh = await startLocalMesh({
    files: [join(directory, 'sample')],
    stateDirectory: join(directory, 'state'),
    httpsPort: 0,
    httpPort: 0,
    readyMs: 150_000,
  })
})

after(async () => {
  await mesh?.stop()
  await rm(directory, { recursive: true, force: true })
})

async function makeKey(client: string): Promise<string> {
  const made = await runHauberk(['api-key', 'create', client, '-f', 'sample/keys.yaml'], { cwd: directory })
  assert.equal(made.code, 0, made.stderr)
  return made.stdout.trim()
}

async function ask(path: string, key?: string): Promise<string> {
  const headers = { connection: 'close', 'x-client': 'mallory', ...(key !== undefined && { 'x-api-key': key }) }
  const response = await fetch(`http://127.0.0.1:${mesh.httpPort}${path}`, { headers })
  const text = await response.text()
  return `${response.status} ${response.ok ? text.trim() : JSON.parse(text).denial}`
}

async function until(expected: string, asked: () => Promise<string>): Promise<void> {
  const deadline = Date.now() + 60_000
  let answer = await asked()
  while (answer !== expected && Date.now() < deadline) answer = await asked()
  assert.equal(answer, expected)
}

test('a key says who calls, and the service is told who and never sees the key', async () => {
  assert.deepEqual(mesh.issues, [])
  assert.equal(await ask('/prices', acme), '200 /prices for acme')
  assert.equal(await ask('/next', acme), '200 /next for acme')
  assert.equal(await ask('/prices', globex), '200 /prices for globex')
  assert.equal(await ask('/next', globex), '403 not-allowed')
  assert.equal(await ask('/prices'), '401 api-key-missing')
  assert.equal(await ask('/prices', `${acme}x`), '401 api-key-invalid')
  assert.equal(await ask('/healthz', globex), '200 /healthz for nobody')
})

test('each client has a limit of its own', async () => {
  await until('429 rate-limited', () => ask('/prices', acme))
  assert.equal(await ask('/prices', globex), '200 /prices for globex')
})

test('a new key is in force beside the old one, and a revoked one is not any more', async () => {
  const next = await makeKey('globex')
  await until('200 /prices for globex', () => ask('/prices', next))
  const listed = await runHauberk(['api-key', 'list', '-f', 'sample/keys.yaml', '-o', 'json'], { cwd: directory })
  const rows = JSON.parse(listed.stdout) as readonly { readonly entry: string; readonly client: string }[]
  assert.deepEqual(rows.map(({ client }) => client).sort(), ['acme', 'globex', 'globex'])
  const revoked = await runHauberk(['api-key', 'revoke', '--client', 'acme', '-f', 'sample/keys.yaml'], {
    cwd: directory,
  })
  assert.equal(revoked.code, 0, revoked.stderr)
  await until('401 api-key-invalid', () => ask('/prices', acme))
})

test('T31: no key is in any file that the mesh has written', async () => {
  await mesh.stop()
  const written = await readdir(join(directory, 'state'), { recursive: true, withFileTypes: true })
  const files = written.filter((entry) => entry.isFile())
  assert.ok(files.length > 0)
  for (const { parentPath, name } of files) {
    const bytes = await readFile(join(parentPath, name), 'latin1')
    for (const key of [acme, globex]) assert.ok(!bytes.includes(key), join(parentPath, name))
  }
})
