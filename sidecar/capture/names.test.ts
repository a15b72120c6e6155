import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createNames, type Lookup, MAX_ADDRESSES, MAX_HOSTS } from './names.ts'

const HOST = 'api.example'

/** DNS that says what a test lets it say, and counts. */
function dns(answers: Readonly<Record<string, readonly (readonly string[])[]>>) {
  const asked: string[] = []
  const lookup: Lookup = async (host) => {
    const times = asked.filter((each) => each === host).length
    asked.push(host)
    const own = answers[host]
    if (own === undefined) throw new Error('ENOTFOUND')
    return own[Math.min(times, own.length - 1)] ?? []
  }
  return { asked, lookup }
}

test('a host leads to what DNS says, and is not asked about again for five minutes', async () => {
  const clock = createManualClock()
  const { asked, lookup } = dns({ [HOST]: [['192.0.2.1', '2001:db8::1']] })
  const names = createNames(clock, lookup)
  assert.equal(await names.leadingTo('192.0.2.1', [HOST]), HOST)
  assert.equal(names.leadingTo('192.0.2.1', [HOST]), HOST, 'at once')
  assert.equal(names.leadingTo('2001:db8:0:0:0:0:0:1', [HOST]), HOST)
  assert.deepEqual(asked, [HOST])
  await clock.advance(300_000)
  assert.equal(await names.leadingTo('192.0.2.1', [HOST]), HOST)
  assert.deepEqual(asked, [HOST, HOST])
})

test('a host whose answers rotate is asked about up to three times, a quarter of a second apart', async () => {
  const clock = createManualClock()
  const { asked, lookup } = dns({ [HOST]: [['192.0.2.1'], ['192.0.2.2'], ['192.0.2.3'], ['192.0.2.4']] })
  const names = createNames(clock, lookup)
  const third = Promise.resolve(names.leadingTo('192.0.2.3', [HOST]))
  await clock.advance(249)
  assert.equal(asked.length, 1)
  await clock.advance(251)
  assert.equal(await third, HOST)
  assert.equal(asked.length, 3)
  assert.equal(names.leadingTo('192.0.2.1', [HOST]), HOST, 'what it said before still counts')
})

test('T33: an address that the host does not lead to is not the host’s, however often it is dialled', async () => {
  const clock = createManualClock()
  const { asked, lookup } = dns({ [HOST]: [['192.0.2.1']] })
  const names = createNames(clock, lookup)
  const answers = Array.from({ length: 1_000 }, () => Promise.resolve(names.leadingTo('203.0.113.9', [HOST])))
  await clock.advance(500)
  assert.deepEqual(new Set(await Promise.all(answers)), new Set([undefined]))
  assert.equal(asked.length, 3)
})

test('a name without an address is asked about once, and leads nowhere', async () => {
  const { asked, lookup } = dns({})
  const names = createNames(createManualClock(), lookup)
  assert.equal(await names.leadingTo('192.0.2.1', [HOST]), undefined)
  assert.deepEqual(asked, [HOST])
})

test('nobody waits for a slow answer about another host, nor longer than three seconds', async () => {
  const clock = createManualClock()
  const names = createNames(clock, (host) => (host === HOST ? Promise.resolve(['192.0.2.1']) : new Promise(() => {})))
  assert.equal(await names.leadingTo('192.0.2.1', ['slow.example', HOST]), HOST)
  const never = Promise.resolve(names.leadingTo('192.0.2.2', ['slow.example']))
  await clock.advance(3_000)
  assert.equal(await never, undefined)
})

test('hosts and their addresses are bounded', async () => {
  const clock = createManualClock()
  const many = Array.from({ length: MAX_ADDRESSES + 100 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
  let asked = 0
  const names = createNames(clock, async () => {
    asked += 1
    return many
  })
  const hosts = Array.from({ length: MAX_HOSTS + 1 }, (_, i) => `host-${i}.example`)
  for (const host of hosts) assert.equal(await names.leadingTo('10.0.0.1', [host]), host)
  assert.equal(asked, MAX_HOSTS + 1)
  assert.equal(names.leadingTo('10.0.0.1', [hosts[1]!]), hosts[1], 'the second is known')
  const first = names.leadingTo('10.0.0.1', [hosts[0]!])
  assert.ok(first instanceof Promise, 'the first was forgotten')
  const last = Promise.resolve(names.leadingTo(many.at(-1)!, [hosts[5]!]))
  await clock.advance(1_000)
  assert.equal(await last, undefined, 'of one host no more than there may be')
})
