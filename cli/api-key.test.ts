import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { parseKeyEntry } from '../policies/api-key/key-entry.ts'
import { runHauberk } from './testing/run-hauberk.ts'

let cwd: string

before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'hauberk-api-key-'))
})

after(() => rm(cwd, { recursive: true, force: true }))

const KEY = /^hauberk_[A-Za-z0-9_-]{43}\n$/

async function entriesOf(file: string): Promise<Readonly<Record<string, string>>> {
  const documents = parseAllDocuments(await readFile(join(cwd, file), 'utf8'))
  const secret = documents.map((each) => each.toJS()).find(({ kind }) => kind === 'Secret')
  return secret.stringData
}

test('T31: a key is printed once, and what is written holds its hash alone', async () => {
  const args = ['api-key', 'create', 'acme', '-f', 'new.yaml', '--secret', 'partner-keys', '-n', 'shop']
  const made = await runHauberk([...args, '--expires', '24h'], { cwd })
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, KEY)
  const key = made.stdout.trim()
  assert.ok(!made.stderr.includes(key))
  const written = await readFile(join(cwd, 'new.yaml'), 'utf8')
  assert.ok(!written.includes(key))
  const [[name, text] = [], ...others] = Object.entries(await entriesOf('new.yaml'))
  assert.deepEqual(others, [])
  const entry = parseKeyEntry(text ?? '')
  assert.ok(entry.ok)
  const { client, sha256, expiresAtMs = 0 } = entry.value
  assert.deepEqual([client, sha256], ['acme', hash('sha256', key, 'base64url')])
  assert.equal(name, `acme.${sha256.slice(0, 8)}`)
  assert.ok(Math.abs(expiresAtMs - Date.now() - 86_400_000) < 600_000)
})

test('a client gets a second key beside the first, is listed with both, and loses one of them or all', async () => {
  await writeFile(
    join(cwd, 'keys.yaml'),
    `# who may call
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: v1
kind: Secret
metadata: {name: partner-keys, namespace: shop}
stringData:
  # the first partner
  globex.old: '{"client":"globex","sha256":"${'a'.repeat(43)}","expires":"2020-01-01T00:00:00Z"}'
`,
  )
  for (let i = 0; i < 2; i++) {
    const made = await runHauberk(['api-key', 'create', 'acme', '-f', 'keys.yaml'], { cwd })
    assert.equal(made.code, 0, made.stderr)
  }
  const listed = await runHauberk(['api-key', 'list', '-f', 'keys.yaml', '-o', 'json'], { cwd })
  const rows = JSON.parse(listed.stdout) as readonly { entry: string; client: string; state: string }[]
  assert.deepEqual(
    rows.map(({ client, state }) => `${client} ${state}`),
    ['acme good', 'acme good', 'globex expired'],
  )
  const written = await readFile(join(cwd, 'keys.yaml'), 'utf8')
  assert.match(written, /# who may call\n[\s\S]*# the first partner\n/)

  const one = await runHauberk(['api-key', 'revoke', rows[0]?.entry ?? '', '-f', 'keys.yaml'], { cwd })
  assert.equal(one.code, 0, one.stderr)
  assert.deepEqual(Object.keys(await entriesOf('keys.yaml')).sort(), [rows[1]?.entry, 'globex.old'])
  const rest = await runHauberk(['api-key', 'revoke', '--client', 'acme', '-f', '-'], {
    cwd,
    input: await readFile(join(cwd, 'keys.yaml'), 'utf8'),
  })
  assert.equal(rest.code, 0, rest.stderr)
  assert.ok(!rest.stdout.includes('acme') && rest.stdout.includes('globex.old'))
  const again = await runHauberk(['api-key', 'revoke', 'globex.new', '-f', 'keys.yaml'], { cwd })
  assert.deepEqual([again.code, again.stderr.includes('globex.new')], [1, true])
})

test('without a file it says how the hash is written on a cluster', async () => {
  const made = await runHauberk(['api-key', 'create', 'acme', '--secret', 'partner-keys', '-n', 'shop'], { cwd })
  assert.match(made.stdout, KEY)
  const patch = /kubectl patch secret partner-keys -n shop -p '(.*)'/.exec(made.stderr)?.[1]
  const [text] = Object.values(JSON.parse(patch ?? '{}').stringData as Record<string, string>)
  const entry = parseKeyEntry(text ?? '')
  assert.ok(entry.ok)
  assert.equal(entry.value.sha256, hash('sha256', made.stdout.trim(), 'base64url'))
})

test('what makes no key is refused before one is made', async () => {
  for (const args of [
    ['create', 'Acme'],
    ['create', 'acme', '--expires', 'soon'],
    ['create', 'acme', '--expires', '2020-01-01'],
    ['create', 'acme', '-f', '-'],
    ['create', 'acme', '-f', 'none.yaml'],
    ['revoke', '-f', 'keys.yaml'],
    ['list'],
  ]) {
    const { code, stdout } = await runHauberk(['api-key', ...args], { cwd })
    assert.deepEqual([code, stdout], [2, ''], args.join(' '))
  }
})
