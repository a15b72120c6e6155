import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { missingOf } from './measure/programs.ts'

const run = promisify(execFile)
const MAIN = join(import.meta.dirname, 'main.ts')

/** Of these, one measurement each: that they run, and that every answer and every refusal is right. No time is asserted. */
const SCENARIOS = ['http1', 'tcp', 'start']

test('a short bench runs, and every proxy that is installed answers and refuses as it must', async (t) => {
  const missing = missingOf(['nginx', 'gcc', 'taskset', 'wrk', 'haproxy'])
  if (missing.length > 0 || process.platform !== 'linux' || availableParallelism() < 2) {
    const why = `SKIPPED: the bench needs Linux, two CPUs and ${missing.join(', ') || 'nothing else'}: see bench/install-peers.sh`
    process.stderr.write(`*** ${why} ***\n`)
    return t.skip(why)
  }
  const { stdout } = await run(
    process.execPath,
    [MAIN, '--only', SCENARIOS.join(','), '--rounds', '1', '--seconds', '1', '--warm-up', '0'],
    { timeout: 170_000, maxBuffer: 2 ** 24 },
  )
  const lacking = missingOf(['envoy', 'oha', 'h2load'])
  if (lacking.length > 0) process.stderr.write(`*** the bench ran without ${lacking.join(', ')} ***\n`)
  assert.match(stdout, /## http1: /)
  assert.match(stdout, /\| Hauberk, mTLS \+ ES256 JWT \+ limit, 1 token +\|/)
  assert.match(stdout, /## tcp: /)
  assert.match(stdout, /## All that is aimed at/)
  const file = /^Every round: (\S+)/m.exec(stdout)?.[1]
  assert.ok(file)
  const { scenarios } = JSON.parse(await readFile(file, 'utf8')) as {
    readonly scenarios: readonly {
      readonly name: string
      readonly measured: Readonly<Record<string, readonly unknown[]>>
    }[]
  }
  const { measured } = scenarios.find(({ name }) => name === 'http1') ?? assert.fail('http1 is not in the file')
  assert.equal(measured['hauberk']?.length, 1)
  await rm(file)
})
