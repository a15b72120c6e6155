import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readAppRoot } from './app-root.ts'

async function written(t: TestContext, text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'app-root-'))
  t.after(() => rm(directory, { recursive: true }))
  const file = join(directory, 'app.pid')
  await writeFile(file, text)
  return file
}

test('T35: a number that another process has by now is nobody', { skip: process.platform !== 'linux' }, async (t) => {
  const own = readFileSync('/proc/self/stat', 'latin1').split(') ')[1]!.split(' ')[19]!
  assert.equal(readAppRoot(await written(t, `${process.pid} ${own}`)), process.pid)
  assert.equal(readAppRoot(await written(t, `${process.pid} ${Number(own) - 1}`)), undefined)
  // The largest that Linux gives out is 2^22.
  assert.equal(readAppRoot(await written(t, `4194305 ${own}`)), undefined)
})

test('without a file, or with nonsense in it, the workload does not run', async (t) => {
  assert.equal(readAppRoot(undefined), undefined)
  assert.equal(readAppRoot('/nowhere/app.pid'), undefined)
  for (const text of ['', 'x', '-1', '0', '1.5', '1e400'])
    assert.equal(readAppRoot(await written(t, text)), undefined, text)
  assert.equal(readAppRoot(await written(t, `${process.pid}`)), process.pid)
})
