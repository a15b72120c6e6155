import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import * as v from 'valibot'
import { WebSocket } from 'ws'
import { read } from '../../contract/codec.ts'
import { ConfigChange, withChange } from '../../contract/config-change.ts'
import { wireVersion } from '../../contract/encode-for.ts'
import {
  OperatorMessage,
  SESSION_PROTOCOLS,
  type SessionProtocol,
  type SidecarMessage,
} from '../../contract/session.ts'
import { CONTRACT_VERSION, type WorkloadConfig } from '../../contract/workload-config.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { createAcknowledgementTable } from './acknowledgements.ts'
import type { DesiredDocuments } from './desired.ts'
import { createPush, type DryRunCount, pushMetrics } from './push.ts'

const ORDERS = 'spiffe://mesh/ns/shop/sa/orders'

function documents(version: string): DesiredDocuments {
  const config: WorkloadConfig = {
    contract: CONTRACT_VERSION,
    version,
    workload: 'shop/orders',
    role: 'sidecar',
    identity: { spiffeId: ORDERS, trustDomain: 'mesh' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [],
    outbound: {
      services: [
        {
          service: 'shop/catalog',
          hosts: ['catalog'],
          addresses: ['10.96.0.7'],
          port: 80,
          protocol: 'http',
          upstream: 'shop/catalog:80',
          requestTimeoutMs: 0,
        },
      ],
      egress: [],
    },
    upstreams: {},
  }
  return {
    config,
    endpoints: { contract: CONTRACT_VERSION, version: 'e1', endpoints: {}, meshed: ['10.0.0.1/32'] },
    keys: { contract: CONTRACT_VERSION, version: 'k1', issuers: {} },
    issuers: ['corp'],
  }
}

/** An operator's push behind a real server; the certificate that the TLS layer would have verified is said by a header. */
async function startWorld(
  t: { after(fn: () => unknown): void },
  maxSessions = 100,
  options: { readonly maxMessageBytes?: number; readonly clock?: Clock } = {},
) {
  const acknowledgements = createAcknowledgementTable()
  const refreshed: string[] = []
  const dryRuns: DryRunCount[] = []
  const world = { desired: documents('1') as DesiredDocuments | undefined }
  const metrics = createMetrics()
  const push = createPush({
    desired: (workload) => (workload === 'shop/orders' ? world.desired : undefined),
    acknowledgements,
    refreshKeys: async (issuer) => void refreshed.push(issuer),
    onDryRun: (_workload, _pod, counts) => dryRuns.push(...counts),
    clock: systemClock,
    ...options,
    log: silentLog,
    metrics: pushMetrics(metrics),
    maxSessions,
  })
  const server = createServer()
  server.on('upgrade', (request, socket, head) => {
    push.accept(request, socket, head, String(request.headers['x-peer']), Date.now() + 3_600_000)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets: WebSocket[] = []
  t.after(async () => {
    for (const socket of sockets) socket.terminate()
    push.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  const begin = (peer: string, protocols: readonly SessionProtocol[] = ['hauberk.session.v1']) => {
    const { port } = server.address() as AddressInfo
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, [...protocols], { headers: { 'x-peer': peer } })
    sockets.push(socket)
    return socket
  }
  const open = async (peer: string) => {
    const socket = begin(peer)
    await once(socket, 'open')
    return socket
  }
  const connect = async (
    peer: string,
    have: Record<string, string> = {},
    workload = 'shop/orders',
    contract: number = CONTRACT_VERSION,
    protocols?: readonly SessionProtocol[],
  ) => {
    const socket = begin(peer, protocols)
    const inbox: (OperatorMessage | ConfigChange)[] = []
    const waiting: (() => void)[] = []
    socket.on('message', (data) => {
      const message = read(v.union([OperatorMessage, ConfigChange]), JSON.parse(data.toString()))
      assert.ok(message.ok)
      inbox.push(message.value)
      for (const wake of waiting.splice(0)) wake()
    })
    const closed = once(socket, 'close') as Promise<[code: number]>
    await once(socket, 'open')
    const say = (message: SidecarMessage) => socket.send(JSON.stringify(message))
    say({ type: 'hello', contract, release: '0', workload, pod: 'shop/orders-0', have })
    return {
      socket,
      say,
      closed,
      inbox,
      async next<Type extends (OperatorMessage | ConfigChange)['type']>(type: Type) {
        for (;;) {
          const at = inbox.findIndex((message) => message.type === type)
          if (at !== -1) return inbox.splice(at, 1)[0] as Extract<OperatorMessage | ConfigChange, { type: Type }>
          await new Promise<void>((wake) => waiting.push(wake))
        }
      },
    }
  }
  const behind = async (document: string) => {
    const text = await metrics.text()
    return Number(new RegExp(`hauberk_sidecars_behind\\{document="${document}"\\} (\\d+)`).exec(text)?.[1])
  }
  return { push, acknowledgements, refreshed, dryRuns, world, connect, open, behind }
}

test('a sidecar that is connected tells what goes over its edges when somebody looks, and is believed of itself only', async (t) => {
  const { push, connect } = await startWorld(t, 100, { clock: createManualClock(Date.now()) })
  const sidecar = await connect(ORDERS)
  await sidecar.next('config')
  const looked = push.look('shop')
  const look = await sidecar.next('look')
  assert.ok(look.type === 'look')
  const edge = { direction: 'inbound', security: 'mtls', denied: 1, failed: 0, connections: 0, open: 0 } as const
  const peer = 'spiffe://mesh/ns/shop/sa/storefront'
  // Of a look that nobody waits for, and of this one.
  sidecar.say({ type: 'seen', id: look.id + 1, edges: [], omitted: 9 })
  sidecar.say({ type: 'seen', id: look.id, edges: [{ ...edge, peer, requests: 3, latencies: [[8, 3]] }], omitted: 0 })
  const report = await looked
  assert.deepEqual(report, {
    edges: [
      {
        from: { name: 'shop/storefront', identity: peer },
        to: { name: 'shop/orders', identity: ORDERS },
        ...{ security: 'mtls', requests: 3, denied: 1, failed: 0, connections: 0, open: 0 },
        ...{ latencies: [[8, 3]], p50Ms: 0.4, p99Ms: 0.4 },
      },
    ],
    ...{ omitted: 0, told: 1, silent: 0, unable: 0, notAsked: 0 },
  })
  assert.equal((await push.look('other'))?.told, 0)
})

test('F20: sidecars that speak an older contract are not asked what goes over their edges, and whoever leaves is not waited for', async (t) => {
  const { push, connect } = await startWorld(t, 100, { clock: createManualClock(Date.now()) })
  const older = await connect(ORDERS, {}, 'shop/orders', 2)
  await older.next('config')
  const sidecar = await connect(ORDERS)
  await sidecar.next('config')
  const looked = push.look()
  await sidecar.next('look')
  sidecar.socket.terminate()
  assert.deepEqual(await looked, { edges: [], omitted: 0, told: 0, silent: 1, unable: 1, notAsked: 0 })
  assert.deepEqual(
    older.inbox.filter(({ type }) => type === 'look'),
    [],
  )
})

async function until(condition: () => boolean, withinMs = 30_000): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the condition did not come true')
    await new Promise(setImmediate)
  }
}

test('a sidecar is sent what it does not have, endpoints and keys before the routes that need them', async (t) => {
  const { connect, acknowledgements } = await startWorld(t)
  const sidecar = await connect(ORDERS)
  await sidecar.next('config').then((message) => {
    assert.equal(message.type === 'config' && message.config.version, '1')
  })
  assert.deepEqual(
    sidecar.inbox.map(({ type }) => type),
    ['endpoints', 'keys'],
  )
  sidecar.say({ type: 'ack', document: 'config', version: '1' })
  await until(() => acknowledgements.of('shop/orders')[0]?.documents.config?.acknowledged === '1')
})

test('revocations are sent before the routes; who never had any is not told of none, and who had some is', async (t) => {
  const { connect, acknowledgements, world, push } = await startWorld(t)
  const told = (version: string, ...names: readonly string[]): DesiredDocuments => ({
    ...documents('1'),
    revocations: {
      contract: CONTRACT_VERSION,
      version,
      revocations: names.map((name) => ({ name, jti: name })),
    },
  })
  world.desired = told('r0')
  const fresh = await connect(ORDERS)
  await fresh.next('config')
  assert.deepEqual(
    fresh.inbox.map(({ type }) => type),
    ['endpoints', 'keys'],
  )
  const older = await connect(ORDERS, {}, 'shop/orders', 2)
  await older.next('config')
  world.desired = told('r1', 'lost')
  push.update(new Set(['shop/orders']))
  const { revocations } = await fresh.next('revocations')
  assert.deepEqual(revocations.revocations, [{ name: 'lost', jti: 'lost' }])
  fresh.say({ type: 'ack', document: 'revocations', version: 'r1' })
  await until(
    () => acknowledgements.of('shop/orders').some(({ documents: each }) => each.revocations?.acknowledged === 'r1'),
    30_000,
  )
  world.desired = told('r0')
  push.update(new Set(['shop/orders']))
  assert.deepEqual((await fresh.next('revocations')).revocations.revocations, [])
  assert.ok(!older.inbox.some(({ type }) => type === 'revocations'), 'it has no word for them')
  // What it could not read when it started is another version: it is told, also of none.
  const restarted = await connect(ORDERS, { config: '1', endpoints: 'e1', keys: 'k1', revocations: 'unreadable' })
  assert.equal((await restarted.next('revocations')).revocations.version, 'r0')
})

test('a sidecar that has everything is sent nothing and counts as acknowledged', async (t) => {
  const { connect, acknowledgements, push } = await startWorld(t)
  const sidecar = await connect(ORDERS, { config: '1', endpoints: 'e1', keys: 'k1' })
  await until(() => acknowledgements.of('shop/orders').length === 1)
  push.update()
  sidecar.say({ type: 'refresh-keys', issuer: 'corp' })
  await sidecar.next('keys-checked')
  assert.deepEqual(sidecar.inbox, [])
  assert.equal(acknowledgements.of('shop/orders')[0]?.documents.config?.acknowledged, '1')
})

test('F20: a sidecar of the version before is sent what it knows, and what it acknowledges counts', async (t) => {
  const { connect, acknowledgements, world, push } = await startWorld(t)
  const older = await connect(ORDERS, {}, 'shop/orders', 1)
  const message = await older.next('config')
  assert.ok(message.type === 'config')
  assert.equal(message.config.contract, 1)
  assert.equal(message.config.outbound.services[0]?.addresses, undefined)
  const endpoints = await older.next('endpoints')
  assert.deepEqual(endpoints.type === 'endpoints' && endpoints.endpoints, {
    contract: 1,
    version: wireVersion(1, 'e1'),
    endpoints: {},
  })
  older.say({ type: 'ack', document: 'config', version: message.config.version })
  await until(() => acknowledgements.of('shop/orders')[0]?.documents.config?.acknowledged === '1')
  older.say({ type: 'nack', document: 'endpoints', version: wireVersion(1, 'e1'), issues: [] })
  await until(() => acknowledgements.of('shop/orders')[0]?.documents.endpoints?.refused?.version === 'e1')
  world.desired = documents('2')
  push.update()
  const next = await older.next('config')
  assert.equal(next.type === 'config' && next.config.version, wireVersion(1, '2'))
})

test('F20: a sidecar that was upgraded is sent anew what it had in the words of the version before', async (t) => {
  const { connect, acknowledgements } = await startWorld(t)
  const have = { config: wireVersion(1, '1'), endpoints: wireVersion(1, 'e1'), keys: wireVersion(1, 'k1') }
  const older = await connect(ORDERS, have, 'shop/orders', 1)
  await until(() => acknowledgements.of('shop/orders')[0]?.documents.config?.acknowledged === '1')
  assert.deepEqual(older.inbox, [])
  older.socket.close()
  await until(() => acknowledgements.all().length === 0)
  const upgraded = await connect(ORDERS, have)
  const message = await upgraded.next('config')
  assert.deepEqual(message.type === 'config' && message.config.outbound.services[0]?.addresses, ['10.96.0.7'])
  assert.equal(acknowledgements.all()[0]?.documents.config, undefined)
})

test('F20: a sidecar of a version that nobody encodes for any more is told so', async (t) => {
  const { open, acknowledgements } = await startWorld(t)
  const oldest = await open(ORDERS)
  oldest.send(
    JSON.stringify({ type: 'hello', contract: 0, release: '0', workload: 'shop/orders', pod: 'a/b', have: {} }),
  )
  const [code] = (await once(oldest, 'close')) as [number]
  assert.ok(code === 1002 || code === 1003, String(code))
  assert.deepEqual(acknowledgements.all(), [])
})

test('edits that come while an answer is awaited are coalesced to the newest', async (t) => {
  const { connect, world, push } = await startWorld(t)
  const sidecar = await connect(ORDERS, { endpoints: 'e1', keys: 'k1' })
  await sidecar.next('config')
  for (let version = 2; version <= 50; version++) {
    world.desired = documents(String(version))
    push.update(new Set(['shop/orders']))
  }
  sidecar.say({ type: 'ack', document: 'config', version: '1' })
  const next = await sidecar.next('config')
  assert.equal(next.type === 'config' && next.config.version, '50')
  sidecar.say({ type: 'ack', document: 'config', version: '50' })
  sidecar.say({ type: 'refresh-keys', issuer: 'corp' })
  await sidecar.next('keys-checked')
  assert.deepEqual(sidecar.inbox, [])
})

test('a refusal is remembered with its issues, and what was acknowledged before stays so', async (t) => {
  const { connect, acknowledgements } = await startWorld(t)
  const sidecar = await connect(ORDERS, { config: '0' })
  await sidecar.next('config')
  const issues = [{ code: 'x', severity: 'error', path: 'listeners[0]', message: 'is odd' }] as const
  sidecar.say({ type: 'nack', document: 'config', version: '1', issues: [...issues] })
  await until(() => acknowledgements.all()[0]?.documents.config?.refused !== undefined)
  const standing = acknowledgements.all()[0]?.documents.config
  assert.deepEqual(standing, { acknowledged: '0', refused: { version: '1', issues: [...issues] } })
})

test('who has not answered the newest document, or has refused it, is counted as behind', async (t) => {
  const { connect, acknowledgements, behind } = await startWorld(t)
  const sidecar = await connect(ORDERS)
  await sidecar.next('config')
  assert.equal(await behind('config'), 1)
  sidecar.say({ type: 'nack', document: 'config', version: '1', issues: [] })
  await until(() => acknowledgements.all()[0]?.documents.config?.refused !== undefined)
  assert.equal(await behind('config'), 1)
  sidecar.say({ type: 'ack', document: 'config', version: '1' })
  await until(() => acknowledgements.all()[0]?.documents.config?.acknowledged !== undefined)
  assert.equal(await behind('config'), 0)
  assert.equal(await behind('keys'), 1)
})

test('a sidecar learns nothing of a workload whose identity it does not have', async (t) => {
  const { connect, acknowledgements } = await startWorld(t)
  const stranger = await connect('spiffe://mesh/ns/shop/sa/catalog')
  assert.equal((await stranger.closed)[0], 1008)
  assert.deepEqual(stranger.inbox, [])
  const lost = await connect(ORDERS, {}, 'shop/nowhere')
  assert.equal((await lost.closed)[0], 1008)
  assert.deepEqual(acknowledgements.all(), [])
})

test('a workload that gets another service account loses the sessions of the old one', async (t) => {
  const { connect, world, push } = await startWorld(t)
  const sidecar = await connect(ORDERS)
  await sidecar.next('config')
  const next = documents('2')
  world.desired = {
    ...next,
    config: { ...next.config, identity: { spiffeId: 'spiffe://mesh/ns/shop/sa/other', trustDomain: 'mesh' } },
  }
  push.update()
  assert.equal((await sidecar.closed)[0], 1008)
  assert.equal(
    sidecar.inbox.some(({ type }) => type === 'config'),
    false,
  )
})

test('keys are refreshed for the issuers of its own policies only, and the answer comes either way', async (t) => {
  const { connect, refreshed } = await startWorld(t)
  const sidecar = await connect(ORDERS)
  sidecar.say({ type: 'refresh-keys', issuer: 'foreign' })
  sidecar.say({ type: 'refresh-keys', issuer: 'corp' })
  await sidecar.next('keys-checked')
  await sidecar.next('keys-checked')
  assert.deepEqual(refreshed, ['corp'])
})

test('sessions are bounded, and one more is told to come again', async (t) => {
  const { connect } = await startWorld(t, 2)
  await connect(ORDERS)
  await connect(ORDERS)
  const third = await connect(ORDERS)
  assert.equal((await third.closed)[0], 1013)
})

test('what is no message of the contract ends the session', async (t) => {
  const { connect } = await startWorld(t)
  const sidecar = await connect(ORDERS)
  sidecar.socket.send('{"type":"hello","contract":2,"surprise":true}')
  assert.equal((await sidecar.closed)[0], 1003)
})

test('a sidecar that leaves is no longer counted', async (t) => {
  const { connect, acknowledgements } = await startWorld(t)
  const sidecar = await connect(ORDERS)
  await until(() => acknowledgements.all().length === 1)
  sidecar.socket.close()
  await until(() => acknowledgements.all().length === 0)
})

test('a document that no sidecar would take is not sent, and counts as refused with the reason', async (t) => {
  const { connect, acknowledgements } = await startWorld(t, 100, { maxMessageBytes: 200 })
  const sidecar = await connect(ORDERS)
  await until(() => acknowledgements.of('shop/orders')[0]?.documents.config?.refused !== undefined)
  const refused = acknowledgements.of('shop/orders')[0]?.documents.config?.refused
  assert.equal(refused?.version, '1')
  assert.equal(refused?.issues[0]?.code, 'document-too-large')
  sidecar.say({ type: 'refresh-keys', issuer: 'corp' })
  await sidecar.next('keys-checked')
  assert.deepEqual(
    sidecar.inbox.map(({ type }) => type),
    ['endpoints', 'keys'],
  )
})

test('a sidecar that asks and does not read is not answered without bound', async (t) => {
  const { connect, acknowledgements } = await startWorld(t)
  const sidecar = await connect(ORDERS, { config: '1', endpoints: 'e1', keys: 'k1' })
  await until(() => acknowledgements.of('shop/orders').length === 1)
  sidecar.socket.pause()
  const asked = 100_000
  for (let i = 0; i < asked; i++) sidecar.say({ type: 'refresh-keys', issuer: 'x'.repeat(400) })
  sidecar.say({ type: 'ack', document: 'config', version: 'last' })
  await until(() => acknowledgements.all()[0]?.documents.config?.acknowledged === 'last', 20_000)
  sidecar.socket.resume()
  sidecar.socket.close()
  await sidecar.closed
  // What the kernel holds on the way is some megabytes; what was asked for is forty.
  assert.ok(sidecar.inbox.length < asked / 2, `${sidecar.inbox.length} answers`)
})

test('a connection that never says who it is is ended, however lively', async (t) => {
  const clock = createManualClock()
  const { open } = await startWorld(t, 100, { clock })
  const stranger = await open(ORDERS)
  const gone = once(stranger, 'close')
  for (let second = 0; second < 31 && stranger.readyState === stranger.OPEN; second++) {
    stranger.pong()
    await clock.advance(1_000)
  }
  await gone
})

/** A config that is worth a change, of which one Service differs from version to version. */
function largeDocuments(version: string): DesiredDocuments {
  const small = documents(version)
  const [service] = small.config.outbound.services
  const services = Array.from({ length: 500 }, (_, i) => ({
    ...service!,
    hosts: [`catalog-${i}`],
    upstream: `shop/catalog-${i}:80`,
    ...(i === 250 && { requestTimeoutMs: Number(version) }),
  }))
  return { ...small, config: { ...small.config, outbound: { services, egress: [] } } }
}

test('a long config is said as a change of the one that was acknowledged, to sidecars that understand it', async (t) => {
  const { push, world, connect, acknowledgements } = await startWorld(t)
  const say = (version: string) => {
    world.desired = largeDocuments(version)
    push.update()
  }
  say('1')
  const before = await connect(ORDERS)
  const sidecar = await connect(ORDERS, {}, 'shop/orders', CONTRACT_VERSION, SESSION_PROTOCOLS)
  assert.equal(sidecar.socket.protocol, 'hauberk.session.v2')
  const whole = await sidecar.next('config')
  await before.next('config')
  for (const each of [before, sidecar]) each.say({ type: 'ack', document: 'config', version: '1' })
  say('2')
  const change = await sidecar.next('config-change')
  assert.ok(JSON.stringify(change).length < 1_000, 'one Service of 500')
  assert.deepEqual(withChange(change, whole.config), { ok: true, value: world.desired?.config })
  assert.equal((await before.next('config')).config.version, '2')

  // It refused: it holds what it held before, and what comes next is a change of that.
  sidecar.say({ type: 'nack', document: 'config', version: '2', issues: [] })
  say('3')
  const next = await sidecar.next('config-change')
  assert.deepEqual([next.base, next.config.version], ['1', '3'])

  // It holds another one than it was believed to, and that is said once: nobody is sent a config for each word of theirs.
  const message = { code: 'another-base', severity: 'error', path: 'base', message: 'is 1' } as const
  sidecar.say({ type: 'nack', document: 'config', version: '3', issues: [message] })
  assert.equal((await sidecar.next('config')).config.version, '3')
  for (let i = 0; i < 100; i++) sidecar.say({ type: 'nack', document: 'config', version: '3', issues: [message] })
  for (let i = 0; i < 100; i++) before.say({ type: 'nack', document: 'config', version: '2', issues: [message] })
  for (const each of [before, sidecar]) {
    each.say({ type: 'refresh-keys', issuer: 'no-issuer' })
    await each.next('keys-checked')
    assert.deepEqual(each.inbox.filter(({ type }) => type === 'config').length, each === before ? 1 : 0)
  }
  const standing = acknowledgements.of('shop/orders')
  assert.ok(standing.every(({ documents }) => documents.config !== undefined))
})

test('a sidecar that comes with the newest config is told of changes of it at once', async (t) => {
  const { push, world, connect } = await startWorld(t)
  world.desired = largeDocuments('1')
  const have = { config: '1', endpoints: 'e1', keys: 'k1' }
  const sidecar = await connect(ORDERS, have, 'shop/orders', CONTRACT_VERSION, SESSION_PROTOCOLS)
  const old = await connect(ORDERS, { ...have, config: '0' }, 'shop/orders', CONTRACT_VERSION, SESSION_PROTOCOLS)
  assert.equal((await old.next('config')).config.version, '1')
  world.desired = largeDocuments('2')
  push.update()
  assert.equal((await sidecar.next('config-change')).base, '1')
  // Nobody knows yet whether it took the last one: it is sent nothing.
  assert.deepEqual(
    old.inbox.filter(({ type }) => type === 'config' || type === 'config-change'),
    [],
  )
})

test('a sidecar that did not answer is told the whole of what overtakes', async (t) => {
  const clock = createManualClock()
  const { push, world, connect } = await startWorld(t, 100, { clock })
  world.desired = largeDocuments('1')
  const have = { config: '1', endpoints: 'e1', keys: 'k1' }
  const sidecar = await connect(ORDERS, have, 'shop/orders', CONTRACT_VERSION, SESSION_PROTOCOLS)
  sidecar.say({ type: 'refresh-keys', issuer: 'no-issuer' })
  await sidecar.next('keys-checked')
  world.desired = largeDocuments('2')
  push.update()
  await sidecar.next('config-change')
  clock.advance(10_000)
  world.desired = largeDocuments('3')
  push.update()
  assert.equal((await sidecar.next('config')).config.version, '3')
})
