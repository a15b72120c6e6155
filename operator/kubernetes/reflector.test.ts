import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from '#fast-check'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { KubernetesObject } from './object.ts'
import { type ObjectChange, type ReflectorOptions, type ReflectorStanding, runReflector } from './reflector.ts'
import { createReflectorMetrics } from './reflector-metrics.ts'
import { type Answer, type Asked, type ScriptedServer, scriptServer } from './testing/api-server.ts'
import { type Collection, createCollection } from './testing/collection.ts'

const PATH = '/api/v1/pods'

/** The real clock, without its patience. */
const hasty: Clock = {
  ...systemClock,
  setTimer: (delayMs, run, options) => systemClock.setTimer(Math.min(delayMs, 2), run, options),
}

/** What a reflector told. */
interface Mirror {
  readonly items: Map<string, number>
  readonly batches: (readonly ObjectChange<number>[])[]
  readonly standings: ReflectorStanding[]
  readonly removed: string[]
}

const keyOf = ({ name: { namespace, name } }: ObjectChange<number>) => `${namespace}/${name}`

function mirrorOf(t: TestContext, { client }: ScriptedServer, options: Partial<ReflectorOptions<number>> = {}) {
  const mirror: Mirror = { items: new Map(), batches: [], standings: [], removed: [] }
  const stop = new AbortController()
  const reflector = runReflector<number>({
    client,
    paths: [PATH],
    project: (object: KubernetesObject) => object['value'] as number,
    apply(changes) {
      mirror.batches.push(changes)
      for (const change of changes) {
        if (change.type === 'set') mirror.items.set(keyOf(change), change.object)
        else if (mirror.items.delete(keyOf(change))) mirror.removed.push(keyOf(change))
      }
    },
    onStanding: (standing) => mirror.standings.push(standing),
    clock: hasty,
    random: () => 0.5,
    log: silentLog,
    signal: stop.signal,
    ...options,
  })
  t.after(async () => {
    stop.abort()
    await reflector.done
  })
  return { ...mirror, reflector, stop }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

function filled(count: number): Collection {
  const collection = createCollection()
  for (let i = 0; i < count; i++) collection.set('shop', `pod-${i}`, i)
  return collection
}

const isWatch = ({ query }: Asked) => query.get('watch') === 'true'
const lists = (server: ScriptedServer) => server.asked.filter((asked) => !isWatch(asked))
const watches = (server: ScriptedServer) => server.asked.filter(isWatch)
const placesOf = (server: ScriptedServer) => watches(server).map(({ query }) => query.get('resourceVersion'))

test('a collection is listed in pages, told at once, and watched from there', async (t) => {
  const collection = filled(7)
  const server = await scriptServer(t, collection.serve)
  const { reflector, items, batches } = mirrorOf(t, server, { pageSize: 3, labelSelector: 'app=x' })
  await until(() => collection.watches.size === 1, 'it watches')
  assert.deepEqual(items, collection.items)
  assert.equal(batches.length, 1)
  assert.deepEqual(
    lists(server).map(({ query }) => [query.get('limit'), query.get('continue'), query.get('labelSelector')]),
    [
      ['3', null, 'app=x'],
      ['3', '107:3', 'app=x'],
      ['3', '107:6', 'app=x'],
    ],
  )
  const [watch] = watches(server)
  assert.equal(watch?.query.get('resourceVersion'), '107')
  assert.equal(watch?.query.get('allowWatchBookmarks'), 'true')
  assert.equal(watch?.query.get('timeoutSeconds'), '450')
  assert.deepEqual([reflector.hasSynced(), reflector.standing(), reflector.size()], [true, 'synced', 7])

  collection.set('shop', 'new', 1)
  collection.remove('shop', 'pod-3')
  await until(() => items.size === 7 && items.has('shop/new'), 'the changes came')
  assert.deepEqual(items, collection.items)
  assert.equal(lists(server).length, 3)
})

test('F24: a list whose continue token expires begins anew, and nothing is taken for gone', async (t) => {
  const collection = filled(6)
  let compactions = 0
  const server = await scriptServer(t, (asked, answer) => {
    if (asked.query.get('continue')?.endsWith(':2') && compactions < 2) {
      compactions += 1
      collection.compact()
    }
    collection.serve(asked, answer)
  })
  const { items, removed, standings } = mirrorOf(t, server, { pageSize: 2 })
  await until(() => collection.watches.size === 1, 'it watches')
  assert.deepEqual(items, collection.items)
  assert.deepEqual([removed, standings], [[], ['synced']])
  assert.deepEqual(
    lists(server).map(({ query }) => query.get('limit')),
    ['2', '2', '2', '2', null],
    'after two expired tokens the list is asked for in one piece',
  )
})

test('F24: a list that breaks off between pages deletes nothing; one that is whole deletes what is gone', async (t) => {
  const collection = filled(6)
  let isBroken = false
  const server = await scriptServer(t, (asked, answer) => {
    if (isBroken && asked.query.get('continue') !== null) answer.refuse(500, 'InternalError')
    else collection.serve(asked, answer)
  })
  const { items, removed, reflector } = mirrorOf(t, server, { pageSize: 2 })
  await until(() => collection.watches.size === 1, 'it watches')
  isBroken = true
  collection.remove('shop', 'pod-5')
  await until(() => removed.length === 1, 'the first one is gone')
  const before = lists(server).length
  for (const watch of collection.watches) watch.drop()
  collection.remove('shop', 'pod-4')
  collection.compact()
  await until(() => lists(server).length >= before + 4, 'the list was tried again')
  assert.equal(reflector.standing(), 'failing')
  assert.equal(items.size, 5)
  isBroken = false
  await until(() => items.size === 4, 'the list came')
  assert.deepEqual(removed, ['shop/pod-5', 'shop/pod-4'])
  await until(() => reflector.standing() === 'synced', 'it is well again')
})

test('F24: a watch that is too old is followed by a list, whichever way 410 comes', async (t) => {
  const collection = filled(3)
  let asStatus = false
  const server = await scriptServer(t, (asked, answer) => {
    if (isWatch(asked) && asStatus) {
      asStatus = false
      answer.refuse(410, 'Expired')
    } else collection.serve(asked, answer)
  })
  const { items, standings, removed } = mirrorOf(t, server)
  await until(() => collection.watches.size === 1, 'it watches')
  for (const round of ['event', 'status']) {
    asStatus = round === 'status'
    for (const watch of collection.watches) watch.end()
    collection.remove('shop', `pod-${removed.length}`)
    collection.set('shop', 'late', removed.length)
    collection.compact()
    await until(() => items.get('shop/late') === collection.items.get('shop/late'), 'the list was read')
    await until(() => watches(server).length === (round === 'event' ? 3 : 5), 'it watches again')
  }
  assert.deepEqual(items, collection.items)
  assert.deepEqual([removed, standings], [['shop/pod-0', 'shop/pod-1'], ['synced']])
})

test('F24: what is too old after the API server was away is listed soon, however often it was asked before', async (t) => {
  const collection = filled(1)
  let isAway = false
  const server = await scriptServer(t, (asked, answer) => {
    if (isAway) answer.refuse(503, 'ServiceUnavailable')
    else collection.serve(asked, answer)
  })
  const waits = new Map<number, number>()
  const clock: Clock = {
    ...hasty,
    setTimer(delayMs, run, options) {
      if (delayMs <= 5_000) waits.set(server.asked.length, delayMs)
      return hasty.setTimer(delayMs, run, options)
    },
  }
  const { items } = mirrorOf(t, server, { clock })
  await until(() => collection.watches.size === 1, 'it watches')
  isAway = true
  for (const watch of collection.watches) watch.drop()
  await until(() => server.asked.length >= 10, 'it was asked again and again')
  assert.ok(Math.max(...waits.values()) > 2_000, 'it waits longer and longer')
  collection.set('shop', 'late', 7)
  collection.compact()
  isAway = false
  await until(() => items.get('shop/late') === 7, 'the list was read')
  const tooOld = server.asked.findLastIndex(
    (asked, i) => isWatch(asked) && i < server.asked.indexOf(lists(server)[1] as Asked),
  )
  assert.equal(waits.get(tooOld + 1), 300)
})

test('F24: a dropped stream is taken up where it was, as told by events and bookmarks, without a list', async (t) => {
  const collection = filled(2)
  const server = await scriptServer(t, collection.serve)
  const { items } = mirrorOf(t, server)
  await until(() => collection.watches.size === 1, 'it watches')
  collection.set('shop', 'pod-2', 2)
  collection.bookmark()
  collection.set('shop', 'pod-3', 3)
  collection.bookmark()
  await until(() => items.size === 4, 'the events came')
  for (let i = 0; i < 3; i++) {
    const [stream] = collection.watches
    stream?.drop()
    await until(() => stream !== undefined && !collection.watches.has(stream), 'it is cut')
    collection.set('shop', 'pod-0', 100 + i)
    await until(() => items.get('shop/pod-0') === 100 + i, 'what happened meanwhile came')
    await until(() => collection.watches.size === 1, 'it watches')
  }
  assert.equal(lists(server).length, 1)
  assert.deepEqual(placesOf(server), ['102', '106', '107', '108'])
})

test('F24: duplicate events, and events for what never was there, change nothing', async (t) => {
  const collection = filled(1)
  const server = await scriptServer(t, collection.serve)
  const { items, batches, reflector } = mirrorOf(t, server)
  await until(() => collection.watches.size === 1, 'it watches')
  const [stream] = collection.watches
  const pod = (name: string, resourceVersion: string, value: number) => ({
    metadata: { namespace: 'shop', name, resourceVersion },
    value,
  })
  const event = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`
  stream?.write(
    event('MODIFIED', pod('pod-0', '102', 7)) +
      event('MODIFIED', pod('pod-0', '102', 7)) +
      event('DELETED', pod('stranger', '103', 1)) +
      event('ADDED', pod('brief', '104', 1)) +
      event('DELETED', pod('brief', '105', 1)),
  )
  await until(() => batches.length === 2, 'the events came')
  assert.deepEqual(
    batches[1]?.map((change) => [change.type, keyOf(change)]),
    [['set', 'shop/pod-0']],
  )
  assert.deepEqual([...items], [['shop/pod-0', 7]])
  assert.equal(reflector.size(), 1)
})

test('F24: a stream that is open and silent is given up and taken up again', async (t) => {
  const collection = filled(2)
  let silent = true
  const server = await scriptServer(t, (asked, answer) => {
    if (isWatch(asked) && silent) answer.stream()
    else collection.serve(asked, answer)
  })
  const { items, standings } = mirrorOf(t, server, { idleTimeoutMs: 30 })
  await until(() => watches(server).length >= 2, 'a second watch was tried')
  silent = false
  collection.set('shop', 'late', 1)
  await until(() => items.has('shop/late'), 'the change came')
  assert.deepEqual(standings, ['synced'])
  assert.equal(lists(server).length, 1)
})

test('F24: throttling is obeyed: nothing is asked before Retry-After, with jitter after it', async (t) => {
  const collection = filled(2)
  const clock = createManualClock()
  let throttled = 2
  const server = await scriptServer(t, (asked, answer) => {
    throttled -= 1
    if (throttled >= 0) answer.refuse(429, 'TooManyRequests', { 'retry-after': '20' })
    else collection.serve(asked, answer)
  })
  const { reflector } = mirrorOf(t, server, { clock })
  for (const asked of [1, 2]) {
    await until(() => clock.pendingTimers() === 1, 'it waits')
    assert.equal(server.asked.length, asked)
    await clock.advance(20_000)
    assert.equal(server.asked.length, asked, 'the jitter is on top')
    await clock.advance(5_000)
  }
  await until(() => reflector.hasSynced(), 'it is synced')
})

test('F24: garbage in the stream costs the stream, not what is known; what will not go away is met with a list', async (t) => {
  const collection = filled(2)
  let garbage = true
  const server = await scriptServer(t, (asked, answer) => {
    if (!isWatch(asked) || !garbage) return collection.serve(asked, answer)
    const stream = answer.stream()
    const object = { metadata: { namespace: 'shop', name: 'pod-1', resourceVersion: '102.5' }, value: 9 }
    const good = `${JSON.stringify({ type: 'MODIFIED', object })}\n`
    stream.write(`${asked.query.get('resourceVersion') === '102' ? good : ''}{"type":"MODI\n`)
  })
  const { items, removed } = mirrorOf(t, server)
  await until(() => lists(server).length >= 2, 'the list was read anew')
  garbage = false
  collection.set('shop', 'late', 1)
  await until(() => items.has('shop/late'), 'the stream is sound again')
  assert.deepEqual(removed, [])
  assert.deepEqual(placesOf(server).slice(0, 2), ['102', '102.5'], 'what came before the garbage counts')
})

test('an answer that is no list is never taken for an empty one', async (t) => {
  const answers = [{}, { metadata: {}, items: [] }, { metadata: { resourceVersion: '1' } }, []]
  const server = await scriptServer(t, (_, answer) => answer.json(200, answers[server.asked.length % answers.length]))
  const { reflector, batches } = mirrorOf(t, server)
  await until(() => server.asked.length > answers.length, 'all were tried')
  assert.deepEqual([reflector.hasSynced(), reflector.standing(), batches.length], [false, 'failing', 0])
})

test('a kind that is not there is asked for slowly, by each of its paths, and read when it comes', async (t) => {
  const collection = filled(1)
  const clock = createManualClock()
  let isThere = false
  const server = await scriptServer(t, (asked, answer) => {
    if (isThere && asked.path === '/old') collection.serve(asked, answer)
    else answer.refuse(404, 'NotFound')
  })
  const { reflector, standings, items } = mirrorOf(t, server, { clock, paths: ['/new', '/old'], random: () => 0.999 })
  for (let i = 0; i < 10; i++) {
    await until(() => clock.pendingTimers() === 1, 'it waits')
    await clock.advance(30_000)
  }
  await until(() => server.asked.length >= 20 && clock.pendingTimers() === 1, 'it asked again')
  assert.deepEqual(standings, ['missing'])
  assert.equal(reflector.hasSynced(), false)
  const before = server.asked.length
  await clock.advance(29_000)
  assert.equal(server.asked.length, before, 'by then it asks every half minute')
  isThere = true
  await clock.advance(1_000)
  await until(() => collection.watches.size === 1, 'it watches')
  assert.deepEqual([items.size, standings], [1, ['missing', 'synced']])
  assert.equal(watches(server)[0]?.path, '/old')
})

test('a kind that goes away keeps what is known of it', async (t) => {
  const collection = filled(2)
  let isThere = true
  const server = await scriptServer(t, (asked, answer) => {
    if (isThere) collection.serve(asked, answer)
    else answer.refuse(404, 'NotFound')
  })
  const { reflector, standings, removed } = mirrorOf(t, server)
  await until(() => collection.watches.size === 1, 'it watches')
  isThere = false
  server.cut()
  await until(() => standings.at(-1) === 'missing', 'it is missing')
  assert.deepEqual([reflector.hasSynced(), reflector.size(), removed], [true, 2, []])
})

test('what the role forbids is told, and tried again', async (t) => {
  const collection = filled(1)
  let isAllowed = false
  const server = await scriptServer(t, (asked, answer) => {
    if (isAllowed) collection.serve(asked, answer)
    else answer.refuse(403, 'Forbidden')
  })
  const { reflector, standings } = mirrorOf(t, server)
  await until(() => standings.includes('forbidden'), 'it is told')
  assert.equal(reflector.hasSynced(), false)
  isAllowed = true
  await until(() => reflector.hasSynced(), 'it was tried again')
})

test('an object that is not wanted any more counts as removed', async (t) => {
  const collection = filled(2)
  const server = await scriptServer(t, collection.serve)
  const { items } = mirrorOf(t, server, {
    project: ({ value }) => ((value as number) < 10 ? (value as number) : undefined),
  })
  await until(() => collection.watches.size === 1, 'it watches')
  collection.set('shop', 'pod-0', 10)
  await until(() => items.size === 1, 'it went')
  collection.set('shop', 'pod-0', 5)
  await until(() => items.size === 2, 'it came back')
})

test('F01: while the API server is away what is known stays, and edits made meanwhile land', async (t) => {
  const collection = filled(3)
  let isAway = false
  const server = await scriptServer(t, (asked, answer) => {
    if (isAway) answer.raw.socket?.destroy()
    else collection.serve(asked, answer)
  })
  const { items, standings, removed } = mirrorOf(t, server)
  await until(() => collection.watches.size === 1, 'it watches')
  isAway = true
  server.cut()
  await until(() => server.asked.length > 8, 'it tries')
  assert.equal(items.size, 3)
  collection.set('shop', 'pod-0', 50)
  collection.remove('shop', 'pod-1')
  isAway = false
  await until(() => items.get('shop/pod-0') === 50 && items.size === 2, 'the edits landed')
  assert.deepEqual([standings, removed], [['synced', 'failing', 'synced'], ['shop/pod-1']])
})

test('F01: no wait between two attempts is longer than 5 s', async (t) => {
  const clock = createManualClock()
  const server = await scriptServer(t, (_, answer) => answer.refuse(503, 'ServiceUnavailable'))
  mirrorOf(t, server, { clock, random: () => 0.999 })
  for (let asked = 1; asked < 12; asked++) {
    await until(() => clock.pendingTimers() === 1 && server.asked.length === asked, 'it waits')
    await clock.advance(5_000)
  }
})

test('F01: where nobody answers at all, no wait between two attempts is longer than 2 s', async (t) => {
  const clock = createManualClock()
  const server = await scriptServer(t, (_, { raw }) => raw.socket?.destroy())
  mirrorOf(t, server, { clock, random: () => 0.999 })
  for (let asked = 1; asked < 12; asked++) {
    await until(() => clock.pendingTimers() === 1 && server.asked.length === asked, 'it waits')
    await clock.advance(2_000)
  }
})

test('F01: an API server that was away for long, and said 503 and 403 on its way back, is read within 10 s', async (t) => {
  const clock = createManualClock()
  const collection = filled(3)
  let stands: 'up' | 'away' | 503 | 403 = 'up'
  const server = await scriptServer(t, (asked, answer) => {
    if (stands === 'up') collection.serve(asked, answer)
    else if (stands === 'away') answer.raw.socket?.destroy()
    else
      answer.refuse(
        stands,
        stands === 403 ? 'Forbidden' : 'ServiceUnavailable',
        stands === 503 ? { 'retry-after': '1' } : {},
      )
  })
  const { items } = mirrorOf(t, server, { clock, random: () => 0.999 })
  await until(() => collection.watches.size === 1, 'it watches')
  /** Lets time pass up to the next attempt, and gives how much did. */
  const next = async (): Promise<number> => {
    await until(() => clock.pendingTimers() === 1, 'it waits')
    const asked = server.asked.length
    for (let ms = 100; ; ms += 100) {
      await clock.advance(100)
      if (clock.pendingTimers() > 0) continue
      await until(() => server.asked.length > asked, 'it tries')
      return ms
    }
  }
  stands = 'away'
  server.cut()
  for (let i = 0; i < 40; i++) await next()
  let tookMs = 0
  for (const each of [503, 403, 'up'] as const) {
    stands = each
    tookMs += await next()
  }
  collection.set('shop', 'pod-0', 50)
  await until(() => items.get('shop/pod-0') === 50, 'an edit lands')
  assert.ok(tookMs <= 10_000, `${tookMs} ms`)
})

test('lists, watches, events, errors and objects are counted', async (t) => {
  const collection = filled(3)
  const metrics = createMetrics()
  const server = await scriptServer(t, collection.serve)
  const { items } = mirrorOf(t, server, { counters: createReflectorMetrics(metrics).of('Pod') })
  await until(() => collection.watches.size === 1, 'it watches')
  collection.compact()
  for (const watch of collection.watches) watch.drop()
  await until(() => collection.watches.size === 1 && lists(server).length === 2, 'it watches again')
  collection.set('shop', 'new', 1)
  await until(() => items.size === 4, 'the event came')
  const text = await metrics.text()
  for (const line of [
    'hauberk_kubernetes_lists_total{kind="Pod"} 2',
    'hauberk_kubernetes_watches_total{kind="Pod"} 3',
    'hauberk_kubernetes_events_total{kind="Pod"} 1',
    'hauberk_kubernetes_objects{kind="Pod"} 4',
    'hauberk_kubernetes_errors_total{kind="Pod",reason="Expired"} 1',
  ]) {
    assert.ok(text.includes(line), `${line}\n${text}`)
  }
  assert.match(text, /hauberk_kubernetes_seen_seconds\{kind="Pod"\} 1[0-9.]+/)
})

test('F24: whatever goes wrong, no object is lost and none is removed that was not', async (t) => {
  const trouble = fc.constantFrom('set', 'remove', 'drop', 'end', 'compact', 'refuse', 'garbage', 'bookmark', 'cut')
  const step = fc.record({ what: trouble, name: fc.integer({ min: 0, max: 5 }), value: fc.nat() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const collection = filled(4)
      let refusals = 0
      const everRemoved = new Set<string>()
      const server = await scriptServer(t, (asked, answer: Answer) => {
        refusals -= 1
        if (refusals >= 0) answer.refuse(refusals % 2 === 0 ? 500 : 429, 'Trouble')
        else collection.serve(asked, answer)
      })
      const { items, removed, stop, reflector } = mirrorOf(t, server, { pageSize: 2, idleTimeoutMs: 200 })
      for (const { what, name, value } of steps) {
        const key = `pod-${name}`
        if (what === 'set') collection.set('shop', key, value)
        else if (what === 'remove') {
          everRemoved.add(`shop/${key}`)
          collection.remove('shop', key)
        } else if (what === 'compact') collection.compact()
        else if (what === 'refuse') refusals = 2
        else if (what === 'bookmark') collection.bookmark()
        else if (what === 'cut') server.cut()
        else {
          for (const watch of collection.watches) {
            if (what === 'drop') watch.drop()
            else if (what === 'end') watch.end()
            else watch.write('{"type":\n')
          }
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
      await until(
        () => collection.items.size === items.size && [...items].every(([k, v]) => collection.items.get(k) === v),
        'both sides are the same',
      )
      for (const key of removed) assert.ok(everRemoved.has(key), `${key} was never removed`)
      stop.abort()
      await reflector.done
      server.client.close()
    }),
    { numRuns: 25 },
  )
})
