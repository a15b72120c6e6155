import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { describe, it } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { ConnectionTable } from '../serve/accepted.ts'
import { createLoad } from '../serve/load.ts'
import { clearShare, connectionsByWorker, createSharedMemory, openShare } from './shared-memory.ts'

const socket = () => Object.assign(new EventEmitter(), { destroy() {} }) as unknown as Socket

describe('what workers count together', () => {
  it('F16: keeps the connections of all below one bound', () => {
    const memory = createSharedMemory(3)
    const tables = [0, 1, 2].map((worker) => {
      return new ConnectionTable(10, undefined, openShare(memory, worker).connections)
    })
    const [first, second, third] = tables as [ConnectionTable, ConnectionTable, ConnectionTable]
    const sockets = Array.from({ length: 4 }, socket)
    for (const one of sockets) assert.ok(first.admit(one, 0))
    for (const busy of [second.admit(socket(), 0), ...Array.from({ length: 5 }, () => second.admit(socket(), 0))]) {
      assert.ok(busy)
      busy.served = { idleSinceMs: undefined, headSinceMs: undefined, drain() {} }
    }
    assert.deepEqual(connectionsByWorker(memory), [4, 6, 0])
    assert.equal(third.admit(socket(), 0), undefined, 'there is no room, and nothing of its own to let go')
    sockets[0]?.emit('close')
    assert.ok(third.admit(socket(), 0))
    clearShare(memory, 1)
    assert.deepEqual(connectionsByWorker(memory), [3, 0, 1])
    assert.ok(third.admit(socket(), 0), 'what a worker had that died is free')
  })

  it('F18: keeps the requests in flight of all below one bound', () => {
    const memory = createSharedMemory(2)
    const clock = createManualClock()
    const limits = { maxInFlight: 3, maxLagMs: 1_000 }
    const [first, second] = [0, 1].map((worker) => {
      return createLoad(clock, limits, undefined, openShare(memory, worker).inFlight)
    })
    assert.ok(first && second)
    assert.deepEqual([first.enter(), first.enter(), second.enter()], [true, true, true])
    assert.deepEqual([first.enter(), second.enter()], [false, false])
    first.leave()
    assert.equal(second.enter(), true)
    first.stop()
    second.stop()
  })
})
