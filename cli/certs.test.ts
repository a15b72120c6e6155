import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestCa, KeyUsageFlags } from '../model/x509/testing/test-ca.ts'
import { formatRemaining } from './output/remaining.ts'
import { directoryOf } from './testing/files.ts'
import { runHauberk } from './testing/run-hauberk.ts'

test('certificates in files are judged as the mesh would judge them, with the reason', async (t) => {
  const ca = await createTestCa('shop root')
  const other = await createTestCa('another root')
  const now = Date.now()
  const cwd = await directoryOf(t, {
    'ca.pem': ca.root,
    'sound.pem': (await ca.issue()).chain,
    'foreign.pem': (await other.issue()).chain,
    'late.pem': (await ca.issue({ notBeforeMs: now - 7_200_000, notAfterMs: now - 90_000 })).chain,
    'early.pem': (await ca.issue({ notBeforeMs: now + 3_600_000, notAfterMs: now + 7_200_000 })).chain,
    'two.pem': (await ca.issue({ uris: ['spiffe://a/ns/b/sa/c', 'spiffe://a/ns/b/sa/d'] })).chain,
    'usage.pem': (await ca.issue({ keyUsage: KeyUsageFlags.keyEncipherment })).chain,
    'key.pem': (await ca.issue()).privateKey,
    'text.pem': 'nothing',
  })
  const files = ['ca', 'sound', 'foreign', 'late', 'early', 'two', 'usage', 'key', 'text'].map((name) => `${name}.pem`)
  const { code, stdout } = await runHauberk(['certs', ...files, '--ca', 'ca.pem', '-o', 'json'], { cwd })
  assert.equal(code, 79)
  const rows: readonly Readonly<Record<string, unknown>>[] = JSON.parse(stdout)
  assert.deepEqual(
    rows.map(({ of, kind, reason, problem }) => [of, kind, reason ?? problem]),
    [
      ['ca.pem', 'ca', undefined],
      ['sound.pem', 'svid', undefined],
      ['foreign.pem', 'svid', 'leads to no root that is trusted'],
      ['late.pem', 'svid', 'expired'],
      ['early.pem', 'svid', 'not-yet-valid'],
      ['two.pem', 'svid', 'not-one-uri'],
      ['usage.pem', 'svid', 'wrong-key-usage'],
      ['key.pem', undefined, "holds a block 'PRIVATE KEY' where 'CERTIFICATE' belongs"],
      ['text.pem', undefined, "holds no PEM block 'CERTIFICATE'"],
    ],
  )
  assert.equal(rows[1]?.['issuer'], 'shop root')
})

test('sound certificates end with 0, files that are not there with 1', async (t) => {
  const ca = await createTestCa('shop root')
  const cwd = await directoryOf(t, { 'sound.pem': (await ca.issue()).chain })
  const [sound, missing] = await Promise.all([
    runHauberk(['certs', 'sound.pem'], { cwd }),
    runHauberk(['certs', 'missing.pem'], { cwd }),
  ])
  assert.equal(sound.code, 0, sound.stderr)
  assert.match(
    sound.stdout,
    /^OF +NAME [^\n]*VERDICT\nsound\.pem +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders .*✓ sound\n$/,
  )
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /missing\.pem/)
})

test('what remains is told in its two largest units', () => {
  const at = (ms: number) => formatRemaining(ms, 0)
  assert.deepEqual([0, 999, 1_000, 61_000, 3_600_000, 86_399_000, 90_000_000, -1_000, -190_000].map(at), [
    '0s',
    '0s',
    '1s',
    '1m1s',
    '1h',
    '23h59m',
    '1d1h',
    'expired 1s ago',
    'expired 3m10s ago',
  ])
})
