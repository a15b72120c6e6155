import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ClientOptions, WebSocket } from 'ws'
import { read } from '../../contract/codec.ts'
import { OperatorMessage, SESSION_PATH, type SidecarMessage } from '../../contract/session.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import { issue } from '../../model/result.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../model/spiffe-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { NO_AUDIT } from '../audit/audit.ts'
import { operatorSpiffeId, startCore } from '../core.ts'
import { type Authority, openAuthority } from '../identity/authority.ts'
import { createFileCaStore } from '../identity/ca-store.ts'
import { operatorMember } from '../identity/rotation/members.ts'
import { issueServerIdentity } from '../identity/server-identity.ts'
import { createSvidAuthenticator } from '../identity/svid-caller.ts'
import { createAcknowledgementTable } from '../push/acknowledgements.ts'
import { createDryRunTable } from '../status/dry-run-counts.ts'
import { createStore } from '../store/store.ts'
import { memoryStore } from '../tokens/testing/memory-store.ts'
import { resourcesIn } from '../translate/testing/world.ts'
import { everyoneOf } from './everyone.ts'
import { NOT_LEADING, REPLICA_PATH, REPLICA_PROTOCOL } from './messages.ts'
import { createReplicaClient } from './replica-client.ts'
import { createReplicaServer } from './replica-server.ts'
import { createReplicaTable } from './replica-table.ts'

const TRUST_DOMAIN = value(parseTrustDomain('cluster.local'))
const ORDERS = value(parseSpiffeId('spiffe://cluster.local/ns/shop/sa/orders'))

const WORLD = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  template:
    metadata: {labels: {app: orders}}
    spec: {serviceAccountName: orders, containers: [{ports: [{containerPort: 8080}]}]}
---
${[0, 1].map(pod).join('---\n')}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
`

function pod(index: number): string {
  return `apiVersion: v1
kind: Pod
metadata:
  name: orders-${index}
  namespace: shop
  labels: {app: orders}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: orders}]
spec:
  serviceAccountName: orders
  containers: [{name: hauberk-sidecar}, {name: orders, ports: [{containerPort: 8080}]}]
status: {phase: Running, podIP: 10.0.0.${index + 1}, conditions: [{type: Ready, status: 'True'}]}
`
}

function policy(generation: number): string {
  return `
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop, generation: ${generation}}
spec:
  targetRefs: [{kind: Service, name: orders}]
  authorization: {allow: []}
`
}

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A directory of keys that operators of one mesh share, as they share Secrets on a cluster. */
async function shareKeys(t: TestContext): Promise<() => Promise<Authority>> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-replicas-'))
  t.after(() => rm(directory, { recursive: true }))
  return () =>
    openAuthority({
      store: createFileCaStore(join(directory, 'ca')),
      trustDomain: TRUST_DOMAIN,
      clock: systemClock,
      log: silentLog,
    })
}

/** A whole operator over real TLS; only its resources come from a string. */
async function startOperator(
  t: TestContext,
  open: () => Promise<Authority>,
  name: string,
  { clientClock = systemClock as Clock, graceMs = 500 } = {},
) {
  const authority = await open()
  const store = createStore()
  const apply = (yaml: string) => store.apply(resourcesIn(yaml).map((resource) => ({ type: 'set', resource }) as const))
  apply(WORLD)
  apply(policy(1))
  store.synced()
  const own = { acknowledgements: createAcknowledgementTable(), dryRuns: createDryRunTable() }
  const table = createReplicaTable({ clock: systemClock, log: silentLog, graceMs })
  const spiffeId = operatorSpiffeId(TRUST_DOMAIN)
  const replicas = createReplicaServer({ spiffeId, table, clock: systemClock, log: silentLog })
  const everyone = everyoneOf(own, table)
  const core = await startCore({
    store,
    authority,
    keyStore: memoryStore(),
    authenticator: createSvidAuthenticator(TRUST_DOMAIN, systemClock),
    listen: { host: '127.0.0.1', port: 0 },
    peers: new Map([[REPLICA_PATH, replicas]]),
    own,
    everyone,
    onChange: () => {},
    audit: NO_AUDIT,
    clock: systemClock,
    log: silentLog,
    metrics: createMetrics(),
  })
  const self = () => {
    const { trusts, root } = operatorMember(name, authority, core.identity())
    return { trusts: [...(trusts ?? [])], ...(root !== undefined && { root }) }
  }
  const client = createReplicaClient({
    replica: name,
    release: '0.1.0',
    own,
    self,
    identity: core.identity,
    spiffeId,
    trustDomain: TRUST_DOMAIN,
    clock: clientClock,
    random: () => 0.1,
    log: silentLog,
  })
  const stop = async () => {
    client.close()
    await core.closeServer()
    await core.close()
  }
  t.after(stop)
  const statusOf = () => {
    const found = core.operation.statuses().find(({ report }) => report.kind === 'SecurityPolicy')
    assert.ok(found)
    return found.status
  }
  const programmed = () => {
    const reason = statusOf().conditions.find(({ type }) => type === 'Programmed')?.reason
    return `${reason} ${statusOf().workloads?.summary}`
  }
  const address = { host: '127.0.0.1', port: core.server.port }
  return { name, authority, own, apply, core, table, replicas, client, address, self, stop, statusOf, programmed }
}

type RunningOperator = Awaited<ReturnType<typeof startOperator>>

/** Options of a connection that shows a certificate of `spiffeId`. */
async function tlsOf(operator: RunningOperator, spiffeId: SpiffeId): Promise<ClientOptions> {
  const { privateKey, chain } = await issueServerIdentity(operator.authority, spiffeId)
  return {
    key: privateKey,
    cert: chain,
    ca: [...pemsOf(operator.authority.trustBundle())],
    // ws hands this on to tls.connect; its types say otherwise.
    ...({ servername: '', checkServerIdentity: () => undefined } as object),
  }
}

/** A sidecar that obeys whatever it is sent. */
async function connectSidecar(t: TestContext, operator: RunningOperator, podName: string) {
  const url = `wss://127.0.0.1:${operator.address.port}${SESSION_PATH}`
  const socket = new WebSocket(url, 'hauberk.session.v1', await tlsOf(operator, ORDERS))
  t.after(() => socket.terminate())
  const say = (message: SidecarMessage) => socket.send(JSON.stringify(message))
  socket.on('message', (data) => {
    const message = value(read(OperatorMessage, JSON.parse(data.toString())))
    if (message.type === 'config') say({ type: 'ack', document: 'config', version: message.config.version })
    if (message.type === 'endpoints') say({ type: 'ack', document: 'endpoints', version: message.endpoints.version })
    if (message.type === 'keys') say({ type: 'ack', document: 'keys', version: message.keys.version })
  })
  await once(socket, 'open')
  say({ type: 'hello', contract: CONTRACT_VERSION, release: '0', workload: 'shop/orders', pod: podName, have: {} })
  return { socket, say }
}

test('a policy is Programmed when the sidecars of both operators obey it, and not before', async (t) => {
  const keys = await shareKeys(t)
  const [a, b] = [await startOperator(t, keys, 'a'), await startOperator(t, keys, 'b')]
  a.replicas.setLeading(true)
  await connectSidecar(t, a, 'shop/orders-0')
  await connectSidecar(t, b, 'shop/orders-1')
  await until(() => a.programmed() === 'Reconciling 1/2', 'the leader knows its own sidecar')
  b.client.follow(a.address)
  await until(() => a.programmed() === 'Programmed 2/2', 'the leader knows the other one too')
  assert.equal(b.client.connected, true)

  // What a sidecar obeys at an operator that has not seen the edit yet is not what the leader wants.
  a.apply(policy(2))
  await until(() => a.statusOf().observedGeneration === 2, 'the leader has seen the edit')
  await until(() => a.programmed() === 'Reconciling 1/2', 'its own sidecar obeys the edit')
  b.apply(policy(2))
  await until(() => a.programmed() === 'Programmed 2/2', 'both obey the edit')
})

test('sessions are told that the operator goes away', async (t) => {
  const a = await startOperator(t, await shareKeys(t), 'a')
  const { socket } = await connectSidecar(t, a, 'shop/orders-0')
  await until(() => a.own.acknowledgements.all().length === 1, 'the sidecar is known')
  const closed = once(socket, 'close')
  await a.core.closeServer()
  const [code] = await closed
  assert.equal(code, 1001)
})

test('operators of one mesh give one config one version', async (t) => {
  const keys = await shareKeys(t)
  const [a, b] = [await startOperator(t, keys, 'a'), await startOperator(t, keys, 'b')]
  const versionAt = ({ core }: RunningOperator) => core.operation.desired('shop/orders')?.config.version
  assert.ok(versionAt(a))
  assert.equal(versionAt(a), versionAt(b))
})

test('F02: the next leader is told by whoever is left, and forgets who is gone', async (t) => {
  const keys = await shareKeys(t)
  const [a, b] = [await startOperator(t, keys, 'a'), await startOperator(t, keys, 'b')]
  a.replicas.setLeading(true)
  b.client.follow(a.address)
  await connectSidecar(t, a, 'shop/orders-0')
  await connectSidecar(t, b, 'shop/orders-1')
  await until(() => a.programmed() === 'Programmed 2/2', 'a counts both')

  b.client.follow(undefined)
  b.replicas.setLeading(true)
  a.replicas.setLeading(false)
  a.client.follow(b.address)
  await until(() => b.programmed() === 'Programmed 2/2', 'b counts both')
  assert.deepEqual(a.table.replicas(), [])

  await a.stop()
  await until(() => b.programmed() === 'Reconciling 1/2', 'what a told counts no longer')
  await connectSidecar(t, b, 'shop/orders-0')
  await until(() => b.programmed() === 'Programmed 2/2', 'its sidecar has come to b')
})

test('an operator that does not lead sends others away, and hears them once it leads', async (t) => {
  const keys = await shareKeys(t)
  const [a, b] = [await startOperator(t, keys, 'a'), await startOperator(t, keys, 'b')]
  const url = `wss://127.0.0.1:${a.address.port}${REPLICA_PATH}`
  const socket = new WebSocket(url, REPLICA_PROTOCOL, await tlsOf(a, operatorSpiffeId(TRUST_DOMAIN)))
  const [code] = await once(socket, 'close')
  assert.equal(code, NOT_LEADING)
  await connectSidecar(t, b, 'shop/orders-1')
  b.client.follow(a.address)
  a.replicas.setLeading(true)
  await until(() => a.programmed() === 'Reconciling 1/2', 'a is told')
})

test('only an operator may tell who obeys what', async (t) => {
  const a = await startOperator(t, await shareKeys(t), 'a')
  a.replicas.setLeading(true)
  const url = `wss://127.0.0.1:${a.address.port}${REPLICA_PATH}`
  const socket = new WebSocket(url, REPLICA_PROTOCOL, await tlsOf(a, ORDERS))
  socket.on('error', () => {})
  const [, response] = await once(socket, 'unexpected-response')
  assert.equal(response.statusCode, 403)
  socket.terminate()
  assert.deepEqual(a.table.replicas(), [])
})

test('an operator tells nothing to who is no operator', async (t) => {
  const keys = await shareKeys(t)
  const b = await startOperator(t, keys, 'b')
  const { privateKey: key, chain: cert, trustBundle } = await issueServerIdentity(b.authority, ORDERS)
  let requests = 0
  let refused = 0
  const impostor = createServer({ key, cert, ca: [...trustBundle], requestCert: true }, () => {
    requests += 1
  })
  impostor.on('upgrade', () => {
    requests += 1
  })
  impostor.on('connection', (socket) =>
    socket.on('close', () => {
      refused += 1
    }),
  )
  impostor.listen(0, '127.0.0.1')
  await once(impostor, 'listening')
  t.after(() => impostor.close())
  b.client.follow({ host: '127.0.0.1', port: (impostor.address() as { port: number }).port })
  await until(() => refused > 0, 'it hangs up')
  assert.equal(requests, 0)
  assert.equal(b.client.connected, false)
})

test('what dry runs counted at another operator is counted', async (t) => {
  const keys = await shareKeys(t)
  const clientClock = createManualClock(Date.now())
  const a = await startOperator(t, keys, 'a')
  const b = await startOperator(t, keys, 'b', { clientClock })
  a.replicas.setLeading(true)
  const dryRun = policy(1).replace('spec:', 'spec:\n  mode: DryRun')
  for (const { apply } of [a, b]) apply(dryRun)
  const { say } = await connectSidecar(t, b, 'shop/orders-1')
  await until(() => b.core.operation.translation()?.reports.get('SecurityPolicy/shop/orders') !== undefined, 'read')
  say({ type: 'dry-run', counts: [{ origin: 'shop/orders@1', rule: 'not-allowed', wouldDeny: 3 }] })
  await until(() => b.statusOf().dryRun?.wouldDeny === 3, 'b has counted')
  b.client.follow(a.address)
  await until(async () => {
    await clientClock.advance(1_000)
    return a.statusOf().dryRun?.wouldDeny === 3
  }, 'a is told')
  say({ type: 'dry-run', counts: [{ origin: 'shop/orders@1', rule: 'not-allowed', wouldDeny: 4 }] })
  await until(async () => {
    await clientClock.advance(1_000)
    return a.statusOf().dryRun?.wouldDeny === 7
  }, 'a is told what came to it')
  assert.deepEqual(a.table.replicas()[0]?.self, b.self())
})

test('many sidecars with much to say are told in parts', async (t) => {
  const keys = await shareKeys(t)
  const [a, b] = [await startOperator(t, keys, 'a'), await startOperator(t, keys, 'b')]
  const issues = Array.from({ length: 40 }, (_, i) => issue('broken', `spec.a[${i}]`, 'm'.repeat(200)))
  for (let i = 0; i < 1_200; i++) {
    const pod = `shop/orders-${i}`
    b.own.acknowledgements.connect(pod, { workload: 'shop/orders', pod, release: '0', contract: 1, since: 0 })
    b.own.acknowledgements.refuse(pod, 'config', 'v1', issues)
  }
  a.replicas.setLeading(true)
  b.client.follow(a.address)
  await until(() => a.table.all().length === 1_200, 'all of them are told')
  assert.deepEqual(a.table.all()[7], b.own.acknowledgements.all()[7])
  for (const key of b.own.acknowledgements.keys()) b.own.acknowledgements.disconnect(key)
  await until(() => a.table.all().length === 0, 'all of them left')
})

test('a sidecar that refuses at great length keeps nobody from telling the leader', async (t) => {
  const keys = await shareKeys(t)
  const [a, b] = [await startOperator(t, keys, 'a'), await startOperator(t, keys, 'b')]
  const wrong = (message: string) => ({ code: 'nonsense', severity: 'error', path: '', message }) as const
  for (let i = 0; i < 6; i++) {
    const { socket, say } = await connectSidecar(t, b, 'shop/orders-0')
    socket.removeAllListeners('message')
    // As much as one message may hold: three bytes a character.
    for (const document of ['config', 'endpoints', 'keys'] as const) {
      say({ type: 'nack', document, version: 'x', issues: [wrong('\u20ac'.repeat(80_000))] })
    }
  }
  await connectSidecar(t, b, 'shop/orders-1')
  const refusals = () => b.own.acknowledgements.all().filter(({ documents }) => documents.keys?.refused !== undefined)
  await until(() => refusals().length === 6 && b.own.acknowledgements.all().length === 7, 'b knows all of them')
  for (const { documents } of refusals()) {
    const [found] = documents.keys?.refused?.issues ?? []
    assert.ok(found !== undefined && found.message.length <= 1_024)
  }
  a.replicas.setLeading(true)
  b.client.follow(a.address)
  await until(() => a.table.all().length === 7, 'the leader is told of all of them')
})
