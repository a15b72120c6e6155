import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { OperatorMessage } from '../../contract/session.ts'
import { ok, type Result } from '../../model/result.ts'
import type { Turns } from '../../model/turns.ts'
import { Inbox } from './inbox.ts'

/** `NAME:TURNS` as a message that takes so many turns. */
function* read(text: string): Turns<Result<OperatorMessage>> {
  const [issuer = '', turns] = text.split(':')
  for (let i = 1; i < Number(turns); i += 1) yield
  return ok({ type: 'keys-checked', issuer })
}

function open() {
  const told: string[] = []
  const inbox = new Inbox({
    read,
    onRead: (decoded) => told.push(decoded.ok && decoded.value.type === 'keys-checked' ? decoded.value.issuer : '?'),
    onBusy: (isBusy) => told.push(isBusy ? 'busy' : 'idle'),
  })
  return { inbox, told }
}

test('a message of one turn is read at once', () => {
  const { inbox, told } = open()
  inbox.take('a:1')
  inbox.take('b:1')
  assert.deepEqual(told, ['a', 'b'])
})

test('a long message leaves the thread to others between its turns, and what came after it waits', async () => {
  const { inbox, told } = open()
  inbox.take('long:4')
  inbox.take('short:1')
  inbox.take('other:2')
  for (let passes = 0; !told.includes('idle'); passes += 1) {
    assert.ok(passes < 20, told.join(' '))
    told.push('served')
    await setImmediate()
  }
  assert.deepEqual(
    told.filter((each) => each !== 'served'),
    ['busy', 'long', 'short', 'other', 'idle'],
  )
  assert.ok(told.slice(0, told.indexOf('long')).filter((each) => each === 'served').length >= 2, told.join(' '))
})

test('nobody is told of what was not read when the session ended', async () => {
  const { inbox, told } = open()
  inbox.take('long:3')
  inbox.take('short:1')
  inbox.close()
  for (let i = 0; i < 5; i += 1) await setImmediate()
  inbox.take('late:1')
  assert.deepEqual(told, ['busy', 'idle'])
})
