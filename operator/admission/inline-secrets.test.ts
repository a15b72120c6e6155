import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { inlineSecrets } from './inline-secrets.ts'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw'

function policy(spec: unknown, applied?: string): Resource {
  const annotations = applied === undefined ? {} : { 'kubectl.kubernetes.io/last-applied-configuration': applied }
  return { apiVersion: 'hauberk.dev/v1alpha1', kind: 'SecurityPolicy', metadata: { name: 'orders', annotations }, spec }
}

describe('secrets in a policy itself', () => {
  it('are found wherever they stand in a text', () => {
    const texts = [TOKEN, `Bearer ${TOKEN}`, `token=${TOKEN}&x=1`, `a.${TOKEN}`, `"${TOKEN}"`]
    for (const text of texts) {
      assert.deepEqual(
        inlineSecrets(policy({ text })).map(({ path, message }) => [path, message]),
        [['spec.text', 'holds a signed token']],
        text,
      )
    }
    assert.deepEqual(inlineSecrets(policy({ text: 'eyJ is how tokens begin, eyJ.eyJ.x too' })), [])
  })

  it('T28: are looked for in a time that grows with the text and no faster', () => {
    const pieces = ['-eyJ', '-eyJaaaaaaaa.eyJaaaaaaaa', '.eyJaaaaaaaa', '://:', '-----BEGIN A', 'eyJaaaaaaaa.']
    const before = process.cpuUsage()
    for (const piece of pieces) {
      const text = piece.repeat(Math.ceil(262_144 / piece.length))
      inlineSecrets(policy({}, JSON.stringify({ spec: { text } })))
    }
    const { user } = process.cpuUsage(before)
    assert.ok(user < 10_000_000, `${user} µs`)
  })

  it('T28: an annotation that is nested without end is refused and not gone into', () => {
    const applied = `{"spec":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const [found, ...more] = inlineSecrets(policy({}, applied))
    assert.deepEqual([found?.code, found?.severity, more], ['inline-secret', 'error', []])
    assert.match(found?.path ?? '', /last-applied-configuration/)
  })
})
