import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { FileError, readFileCapped, writeFileAtomic } from './atomic-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'hauberk-atomic-file-'))
after(() => rmSync(directory, { recursive: true }))

const hasCode = (code: string) => (error: unknown) => error instanceof FileError && error.code === code

test('a file is written whole, for its owner only, with nothing left beside it', async () => {
  const path = join(directory, 'key.pem')
  await writeFileAtomic(path, 'one')
  await writeFileAtomic(path, Buffer.from('two'))
  assert.equal(readFileSync(path, 'utf8'), 'two')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(directory), ['key.pem'])
})

test('a mode is what was asked for, whatever the umask', async () => {
  const path = join(directory, 'ca.crt')
  const umask = process.umask(0o077)
  try {
    await writeFileAtomic(path, 'public', 0o644)
  } finally {
    process.umask(umask)
  }
  assert.equal(statSync(path).mode & 0o777, 0o644)
})

test('a reader never sees a part: every read during a thousand writes is one of the contents', async () => {
  const path = join(directory, 'config.json')
  const contents = ['a'.repeat(100_000), 'b'.repeat(50_000)]
  await writeFileAtomic(path, contents[0]!)
  let writing = true
  const writes = (async () => {
    for (let i = 0; i < 100; i++) await writeFileAtomic(path, contents[i % 2]!)
    writing = false
  })()
  while (writing) assert.ok(contents.includes((await readFileCapped(path, 200_000)).toString()))
  await writes
})

test('a write that fails says why and leaves nothing behind', async () => {
  await assert.rejects(writeFileAtomic(join(directory, 'nowhere', 'file'), 'x'), hasCode('missing'))
  const taken = join(directory, 'taken')
  mkdirSync(join(taken, 'full'), { recursive: true })
  await assert.rejects(writeFileAtomic(taken, 'x'), hasCode('io'))
  assert.equal(
    readdirSync(directory).some((name) => name.endsWith('.tmp')),
    false,
  )
})

test('a link is replaced, not followed', async () => {
  const target = join(directory, 'target')
  const link = join(directory, 'link')
  writeFileSync(target, 'untouched')
  symlinkSync(target, link)
  await writeFileAtomic(link, 'new')
  assert.equal(readFileSync(target, 'utf8'), 'untouched')
  assert.equal(readFileSync(link, 'utf8'), 'new')
})

test('a file up to the cap is read, one byte more is refused', async () => {
  const path = join(directory, 'sized')
  writeFileSync(path, Buffer.alloc(10_000, 'x'))
  assert.equal((await readFileCapped(path, 10_000)).length, 10_000)
  await assert.rejects(readFileCapped(path, 9_999), hasCode('too-large'))
  writeFileSync(path, '')
  assert.equal((await readFileCapped(path, 0)).length, 0)
})

test('what is missing, a directory, a pipe or endless is refused at once', async () => {
  await assert.rejects(readFileCapped(join(directory, 'absent'), 10), hasCode('missing'))
  await assert.rejects(readFileCapped(directory, 10), hasCode('not-a-file'))
  await assert.rejects(readFileCapped('/dev/zero', 10), hasCode('not-a-file'))
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  await assert.rejects(readFileCapped(pipe, 10), hasCode('not-a-file'))
})
