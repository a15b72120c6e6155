import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createTurnMemory, giveUpTurn, openTurn } from './turns.ts'

describe('turns', () => {
  it('are one at a time, first here and then there', async () => {
    const memory = createTurnMemory()
    const [a, b] = [openTurn(memory, 1), openTurn(memory, 2)]
    assert.equal(a.take(), undefined)
    let isTaken = false
    const waiting = b.take()?.then(() => {
      isTaken = true
    })
    await new Promise(setImmediate)
    assert.equal(isTaken, false)
    a.give()
    await waiting
    assert.equal(isTaken, true)
    a.give()
    assert.ok(a.take() instanceof Promise, 'nobody gives what is not theirs')
  })

  it('of a thread that has ended go to the next', async () => {
    const memory = createTurnMemory()
    const source = `import { openTurn } from ${JSON.stringify(new URL('./turns.ts', import.meta.url).href)}
      import { workerData } from 'node:worker_threads'
      openTurn(workerData, 2).take()`
    const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
    await new Promise((resolve) => new Worker(url, { workerData: memory }).once('exit', resolve))
    const waiting = openTurn(memory, 1).take()
    assert.ok(waiting)
    giveUpTurn(memory, 2)
    await waiting
  })
})
