import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { silentLog } from '../../runtime/log.ts'
import { openMadeSecrets } from './made-secrets.ts'
import type { Change } from './source.ts'

const secret = (name: string, rest: Partial<Resource> = {}): Resource => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace: 'shop', name },
  ...rest,
})

test('a Secret without data holds what was made for it, now or later, and one with data what it says', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-made-'))
  await mkdir(join(directory, 'shop', 'keys'), { recursive: true })
  await writeFile(join(directory, 'shop', 'keys', 'key-1'), 'one')
  const told: Change[] = []
  let wake: (() => void) | undefined
  const sink = {
    apply: (changes: readonly Change[]) => {
      told.push(...changes)
      wake?.()
    },
    synced() {},
  }
  const secrets = openMadeSecrets(sink, directory, silentLog)
  t.after(async () => {
    await secrets.close()
    await rm(directory, { recursive: true, force: true })
  })
  const dataOf = (name: string) =>
    told.findLast((change) => change.type === 'set' && change.resource.metadata.name === name)

  const written = secret('written', { stringData: { a: 'b' } })
  secrets.apply([
    { type: 'set', resource: secret('keys') },
    { type: 'set', resource: written },
    { type: 'set', resource: secret('later') },
  ])
  assert.deepEqual(dataOf('keys'), { type: 'set', resource: secret('keys', { data: { 'key-1': btoa('one') } }) })
  assert.deepEqual(dataOf('written'), { type: 'set', resource: written })
  assert.deepEqual(dataOf('later'), { type: 'set', resource: secret('later') })

  const isThere = () => {
    const change = dataOf('later')
    return change?.type === 'set' && change.resource.data !== undefined
  }
  await mkdir(join(directory, 'shop', 'later'), { recursive: true })
  await writeFile(join(directory, 'shop', 'later', 'key-1'), 'two')
  // Each event looks at all of them anew, so that one that comes early does no harm.
  while (!isThere()) {
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  assert.deepEqual(dataOf('later'), { type: 'set', resource: secret('later', { data: { 'key-1': btoa('two') } }) })
})
