import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askOperator } from './ask.ts'
import type { Cluster } from './cluster.ts'
import { ExecError } from './exec.ts'

/** A cluster whose programs fail in these ways, one after the other, and then answer. */
function failing(...failures: readonly Error[]) {
  const left = [...failures]
  let started = 0
  const exec = async () => {
    started += 1
    const failure = left.shift()
    if (failure !== undefined) throw failure
    return { exitCode: 0, stdout: '{}', stderr: '' }
  }
  return { cluster: { exec } as unknown as Cluster, started: () => started }
}

test('an operator that has no time for an answer is asked once more, and no more than once', async () => {
  const late = new ExecError('it did not answer in time', { isPassing: true })
  const once = failing(late)
  assert.deepEqual(await askOperator(once.cluster, 'operator-1', '/status'), { ok: true, body: '{}' })
  const twice = failing(late, late)
  assert.deepEqual(await askOperator(twice.cluster, 'operator-1', '/status'), { ok: false, why: late.message })
  assert.equal(twice.started(), 2)
})

test('who may not run programs is told at once', async () => {
  const forbidden = failing(new ExecError('you may not run programs in it'))
  const asked = await askOperator(forbidden.cluster, 'operator-1', '/status')
  assert.deepEqual([asked, forbidden.started()], [{ ok: false, why: 'you may not run programs in it' }, 1])
})
