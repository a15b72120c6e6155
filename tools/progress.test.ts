import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { runSteps, type Step } from './progress.ts'

async function run(steps: readonly Step[]) {
  const out = new PassThrough()
  const ok = await runSteps(steps, out as unknown as NodeJS.WriteStream)
  out.end()
  return { ok, text: (await out.toArray()).join('') }
}

test('each step is one line, in the order they end, and a pipe gets no colours', async () => {
  const { ok, text } = await run([
    { name: 'slow one', run: () => new Promise((resolve) => setTimeout(resolve, 20, [])) },
    { name: 'fast', run: () => [] },
  ])
  assert.equal(ok, true)
  assert.match(text, /^ ✓ fast {8}\d\.\d s\n ✓ slow one {4}\d\.\d s\n$/)
})

test('a step that fails or throws says why after all lines', async () => {
  const { ok, text } = await run([
    { name: 'types', run: () => ['a.ts:1 wrong', 'b.ts:2 wrong'] },
    {
      name: 'lint',
      run() {
        throw new Error('no linter')
      },
    },
  ])
  assert.equal(ok, false)
  assert.match(text, /^ ✗ \w+ .* s\n ✗ \w+ .* s\n\ntypes\na\.ts:1 wrong\nb\.ts:2 wrong\n\nlint\nError: no linter/)
})
