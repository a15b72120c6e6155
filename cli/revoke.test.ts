import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { runHauberk } from './testing/run-hauberk.ts'

let cwd: string

before(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'hauberk-revoke-'))
})

after(() => rm(cwd, { recursive: true, force: true }))

test('a revocation is YAML that says which tokens, and the same one has the same name', async () => {
  const args = ['revoke', '--sub', 'ann', '--issuer', 'corp', '--before', '2026-11-23T12:00:00Z', '-f', '-']
  const { code, stdout, stderr } = await runHauberk(args, { cwd })
  assert.equal(code, 0, stderr)
  const object = parseAllDocuments(stdout)[0]?.toJS()
  assert.match(object.metadata.name, /^revoked-[0-9a-f]{12}$/)
  assert.deepEqual(object, {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'TokenRevocation',
    metadata: object.metadata,
    spec: { issuer: 'corp', sub: 'ann', issuedBefore: '2026-11-23T12:00:00Z' },
  })
  assert.match(stdout, /issuedBefore: "2026-/, 'no reader of YAML takes it for anything but a text')
  assert.equal((await runHauberk(args, { cwd })).stdout, stdout)
})

test('revocations are added to a file, each once, and times may be now and a while', async () => {
  for (const args of [
    ['--jti', 'j1', '--name', 'lost'],
    ['--kid', 'key-1', '--before', 'now', '--until', '24h'],
    ['--jti', 'j1', '--name', 'lost'],
  ]) {
    const { code, stderr } = await runHauberk(['revoke', ...args, '-f', 'revocations.yaml'], { cwd })
    assert.equal(code, 0, stderr)
  }
  const written = parseAllDocuments(await readFile(join(cwd, 'revocations.yaml'), 'utf8')).map((each) => each.toJS())
  assert.equal(written.length, 2)
  assert.deepEqual([written[0].metadata.name, written[0].spec], ['lost', { jti: 'j1' }])
  const { issuedBefore, until } = written[1].spec
  assert.equal(Date.parse(until) - Date.parse(issuedBefore), 86_400_000)
})

test('what revokes nothing is refused', async () => {
  for (const args of [
    [],
    ['--issuer', 'corp'],
    ['--before', 'yesterday'],
    ['--jti', 'j1', '--until', '2020-01-01'],
    ['--jti', 'j'.repeat(257)],
    ['--jti', 'j1', '--name', 'No Name'],
  ]) {
    const { code, stdout } = await runHauberk(['revoke', ...args, '-f', '-'], { cwd })
    assert.deepEqual([code, stdout], [2, ''], args.join(' '))
  }
})
