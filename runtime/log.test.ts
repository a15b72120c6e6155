import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog, silentLog } from './log.ts'
import { createMemorySink } from './log-sink.ts'
import { createManualClock } from './manual-clock.ts'

function logging(level: 'debug' | 'info' | 'silent' = 'info') {
  const sink = createMemorySink()
  const clock = createManualClock(Date.UTC(2026, 4, 6))
  const log = createLog({ level, service: 'hauberk-test', sink, clock, fields: { 'service.node.name': 'orders-1' } })
  const lines = () => sink.lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  return { log, sink, lines }
}

test('a line is one JSON object in the Elastic Common Schema', () => {
  const { log, sink, lines } = logging()
  log.info('config applied', { 'hauberk.version': 'abc' })
  assert.ok(sink.lines[0]?.endsWith('}\n'))
  const [line] = lines()
  assert.equal(line?.['message'], 'config applied')
  assert.equal(line?.['@timestamp'], '2026-05-06T00:00:00.000Z')
  assert.equal(line?.['log.level'], 'info')
  assert.equal(line?.['service.name'], 'hauberk-test')
  assert.equal(line?.['service.node.name'], 'orders-1')
  assert.equal(line?.['hauberk.version'], 'abc')
  assert.equal(line?.['process.pid'], process.pid)
  assert.ok(line?.['ecs.version'])
})

test('lines below the level are not printed, and nobody has to gather their facts', () => {
  const { log, sink } = logging('info')
  log.debug('too chatty')
  assert.equal(log.isEnabled('debug'), false)
  assert.equal(log.isEnabled('warn'), true)
  assert.equal(sink.lines.length, 0)
})

test('a child carries its facts on every line', () => {
  const { log, lines } = logging()
  log.child({ 'source.ip': '127.0.0.1' }).warn('refused', { rule: 'r1' })
  assert.equal(lines()[0]?.['source.ip'], '127.0.0.1')
  assert.equal(lines()[0]?.['rule'], 'r1')
  assert.equal(lines()[0]?.['log.level'], 'warn')
})

test('an error is shown with its type, code and cause', () => {
  const { log, lines } = logging()
  const cause = Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' })
  log.error('push failed', { err: Object.assign(new Error('no operator', { cause }), { code: 'E_PUSH' }) })
  const error = lines()[0]?.['error'] as Record<string, unknown>
  assert.equal(error['message'], 'no operator')
  assert.equal(error['code'], 'E_PUSH')
  assert.match(String(error['stack_trace']), /log\.test\.ts/)
  assert.deepEqual(error['cause'], { type: 'Error', message: 'connect refused' })
})

test('T31: no secret comes out, as a field, in a child, in a text or in an error', () => {
  const { log, sink } = logging('debug')
  const token = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl'
  log.info('a', { authorization: `Bearer ${token}` })
  log.info('b', { nested: { deep: [{ cookie: 'sid=hunter2' }] } })
  log.child({ password: 'hunter2' }).info('c')
  log.error('d', { err: new Error(`cannot verify ${token}`) })
  log.debug('e', { note: `token ${token}` })
  const printed = sink.lines.join('')
  assert.equal(sink.lines.length, 5)
  assert.equal(printed.includes(token), false)
  assert.equal(printed.includes('hunter2'), false)
})

test('a log that cannot print does not throw, and counts what it lost', () => {
  const broken = {
    dropped: 0,
    write() {
      throw new Error('disk on fire')
    },
    drop() {
      this.dropped += 1
    },
  }
  const log = createLog({ level: 'info', service: 'hauberk-test', sink: broken, clock: createManualClock() })
  log.info('hello')
  assert.equal(broken.dropped, 1)
})

test('a message that is built at run time does not type-check', () => {
  const name: string = 'orders'
  // @ts-expect-error a template with a variable in it
  silentLog.info(`hello ${name}`)
  // @ts-expect-error any string
  silentLog.info(name)
  silentLog.info('hello')
})
