import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const START = join(import.meta.dirname, 'start.mjs')

/** What `npm start` says and ends with, where PATH is a folder without a program. */
function start(...args: readonly string[]) {
  const nothing = mkdtempSync(join(tmpdir(), 'hauberk-start-'))
  try {
    const options = { encoding: 'utf8', env: { PATH: nothing }, timeout: 120_000 } as const
    const { status, stderr } = spawnSync(process.execPath, [START, ...args], options)
    return { status, stderr }
  } finally {
    rmSync(nothing, { recursive: true })
  }
}

test('a sample that is not there is named, with those that are', () => {
  const stderr = "npm start: there is no sample 'nothing' to start the shop with. There is: spring\n"
  assert.deepEqual(start('--with', 'nothing'), { status: 2, stderr })
  assert.deepEqual(start('--with=nothing'), { status: 2, stderr })
})

test('the sample spring says that it wants Java where there is none, and starts nothing', () => {
  const stderr = 'npm start: the sample spring wants Java 17 or newer, and there is no `java` on the PATH.\n'
  assert.deepEqual(start('--with', 'spring'), { status: 1, stderr })
})

test('everything else that is said goes to hauberk dev', () => {
  const { status, stderr } = start('--https-port', 'none')
  assert.match(stderr, /--https-port <port>.*is not a port from 0 to 65535/)
  assert.equal(status, 2)
})
