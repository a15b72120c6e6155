import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openPortBook } from './ports.ts'

async function bookFile(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-ports-'))
  t.after(() => rm(directory, { recursive: true }))
  return join(directory, 'ports.json')
}

async function open(t: TestContext, file: string) {
  const book = await openPortBook(file)
  t.after(() => book.close())
  return book
}

test('a purpose has one port, and the same one at the next start', async (t) => {
  const file = await bookFile(t)
  const first = await open(t, file)
  const [a, b, again] = await Promise.all(['a', 'b', 'a'].map((purpose) => first.take(purpose)))
  assert.notEqual(a, b)
  assert.equal(a, again)
  await first.save()
  await first.close()

  const second = await open(t, file)
  assert.equal(await second.take('b'), b)
  assert.notEqual(await second.take('c'), a)
  assert.equal(await second.take('a'), a)
})

test('a port that somebody else took meanwhile is replaced', async (t) => {
  const file = await bookFile(t)
  const first = await open(t, file)
  const port = await first.take('a')
  await first.save()
  await first.close()
  const other = createServer().listen(port, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())

  const second = await open(t, file)
  assert.notEqual(await second.take('a'), port)
})

test('two meshes that choose at the same time choose differently, however many ports they need', async (t) => {
  const books = [await open(t, await bookFile(t)), await open(t, await bookFile(t))]
  const purposes = Array.from({ length: 120 }, (_, i) => `purpose ${i}`)
  const ports = (await Promise.all(books.map((book) => Promise.all(purposes.map((one) => book.take(one)))))).flat()
  assert.equal(new Set(ports).size, 240)
  assert.ok(ports.every((port) => port >= 20_000 && port < 32_768))
})

test('a book that is no book is begun anew', async (t) => {
  const file = await bookFile(t)
  for (const text of [
    '',
    '[]',
    '{"blocks": [-1, "x", 3.5], "ports": null}',
    '{"blocks": [1e9], "ports": {"a": "x"}}',
  ]) {
    await writeFile(file, text)
    const book = await openPortBook(file)
    assert.ok((await book.take('a')) > 20_000)
    await book.close()
  }
})
