import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../testing/secrets.ts'
import { makeAesKey, makeSigningKey } from './key-rotation.ts'
import { parseKeySet } from './key-set.ts'

test('a key set that is not one is refused without saying what a key is', () => {
  const key = { kid: 'a', kty: 'oct', k: 'c2VjcmV0LXNlY3JldA' }
  const wrong = [
    '{"active": "a", "keys": [{"k": "c2VjcmV0',
    '[]',
    '{"active": "a"}',
    JSON.stringify({ active: 'a', keys: [{ k: key.k }] }),
    JSON.stringify({ active: 'a', keys: [key, key] }),
    JSON.stringify({ active: 'b', keys: [key] }),
    JSON.stringify({ active: 'k0', keys: Array.from({ length: 17 }, (_, i) => ({ ...key, kid: `k${i}` })) }),
  ]
  for (const text of wrong) {
    assert.throws(
      () => parseKeySet(text),
      (error: Error) => !error.message.includes('c2Vj'),
    )
  }
})

test('rotate-keys publishes, activates and retires keys of either kind in a file', async (t) => {
  const script = fileURLToPath(new URL('rotate-keys.ts', import.meta.url))
  const run = async (...args: string[]) => (await promisify(execFile)(process.execPath, [script, ...args])).stdout
  const directory = await temporaryDirectory(t)
  for (const key of [await makeSigningKey(), makeAesKey()]) {
    const file = join(directory, 'keys.json')
    await writeFile(file, JSON.stringify({ active: key.kid, keys: [key] }))

    const output = await run('publish', file)
    const published = parseKeySet(await readFile(file, 'utf8'))
    const added = published.keys[1]
    assert.equal(published.active, key.kid)
    assert.equal(added?.kty, key.kty)
    assert.equal(output, `${key.kid} active\n${added?.kid} published\n`)

    await run('activate', file, added?.kid ?? '')
    await run('retire', file)
    assert.deepEqual(parseKeySet(await readFile(file, 'utf8')), { active: added?.kid, keys: [added] })
  }
})
