import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { CommandError, EXIT } from './exit-code.ts'
import { run, VERBS, type Verb } from './main.ts'
import { runHauberk } from './testing/run-hauberk.ts'

/** A verb that notes that it was loaded and run. */
function verb(name: string, notes: string[], action: () => void = () => {}): Verb {
  return {
    name,
    summary: name,
    async load() {
      notes.push(`load ${name}`)
      return (command) => {
        command.action(() => {
          notes.push(`run ${name}`)
          action()
        })
      }
    },
  }
}

test('a verb is loaded when it is said, and no other one', async () => {
  const notes: string[] = []
  assert.equal(await run(['b'], [verb('a', notes), verb('b', notes)]), EXIT.ok)
  assert.deepEqual(notes, ['load b', 'run b'])
})

test('the exit code is what the verb says', async () => {
  const fails = (error: Error) =>
    verb('x', [], () => {
      throw error
    })
  assert.equal(await run(['x'], [fails(new CommandError(EXIT.findings))]), 79)
  assert.equal(await run(['x'], [fails(new CommandError(EXIT.failure))]), 1)
})

test('every verb has a summary of one line, help with examples unless it is hidden, and a name of its own', async (t) => {
  const directory = await mkdtemp(`${tmpdir()}/hauberk-main-`)
  t.after(() => rm(directory, { recursive: true }))
  assert.equal(new Set(VERBS.map(({ name }) => name)).size, VERBS.length)
  const { code, stdout } = await runHauberk(['--help'], { cwd: directory })
  assert.equal(code, 0)
  for (const { name, hidden } of VERBS)
    assert.equal(new RegExp(`^ {2}${name} `, 'm').test(stdout), hidden !== true, name)
  assert.match(stdout, /^Examples:\n {2}hauberk /m)
  assert.match(stdout, /Exit codes: 0 /)
})

test('a verb that there is not, and an option too, are wrong usage', async (t) => {
  const directory = await mkdtemp(`${tmpdir()}/hauberk-main-`)
  t.after(() => rm(directory, { recursive: true }))
  const unknown = await runHauberk(['deev'], { cwd: directory })
  assert.equal(unknown.code, 2)
  assert.match(unknown.stderr, /unknown command 'deev'/)
  assert.match(unknown.stderr, /Did you mean dev\?/)
})

test('whoever names a directory without -f is told of it', async () => {
  const { code, stderr } = await runHauberk(['dev', 'samples/shop'], { cwd: '/' })
  assert.equal(code, 2)
  assert.match(stderr, /too many arguments[\s\S]*named with -f/)
})
