/**
 * `node bench/javascript.ts [tokens] [http1|http2|grpc]`: nanoseconds of our own code for one request, and nothing else.
 *
 * The connection, exchange, parsers, policies and metrics of the product run between sockets that take everything and do
 * nothing: no kernel, no TLS, no backend. It shows on a shared machine what a change to the request path gains, which the
 * real rounds of `npm run bench` then have to confirm. With `--cpu-prof` it says where the time goes.
 *
 * `tokens` is how many of them come in turn; 0, the default, is the identity rule alone. Over HTTP/2 it is 8 connections of 10
 * streams, as in the rounds, each with a token of its own.
 */
import { EventEmitter } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describeIssue } from '../model/result.ts'
import { systemClock as clock } from '../runtime/clock.ts'
import { openssl } from '../runtime/crypto/openssl.ts'
import { silentLog } from '../runtime/log.ts'
import { createMetrics } from '../runtime/metrics.ts'
import { compile } from '../sidecar/compile/compile.ts'
import { createIssuerKeys } from '../sidecar/control/keys.ts'
import { createIdentity } from '../sidecar/identity/identity.ts'
import { createIdentityStore } from '../sidecar/identity/identity-store.ts'
import { createDecisionLog } from '../sidecar/observe/decision-log.ts'
import { createSidecarMetrics } from '../sidecar/observe/sidecar-metrics.ts'
import type { Client } from '../sidecar/serve/client.ts'
import { HttpConnection } from '../sidecar/serve/connection.ts'
import type { Engine } from '../sidecar/serve/engine.ts'
import { ForwardedLines } from '../sidecar/serve/forwarded.ts'
import { MESH_LIMITS } from '../sidecar/serve/http2/limits.ts'
import { Http2Connection } from '../sidecar/serve/http2-connection.ts'
import { createIdSource } from '../sidecar/serve/ids.ts'
import { inboundSite } from '../sidecar/serve/inbound.ts'
import { LENT_READ_BYTES } from '../sidecar/serve/lent-reads.ts'
import { DEFAULT_LIMITS } from '../sidecar/serve/limits.ts'
import { createLoad } from '../sidecar/serve/load.ts'
import { Mirrors } from '../sidecar/serve/mirrors.ts'
import type { RequestRecord } from '../sidecar/serve/observation.ts'
import { OpenTunnels } from '../sidecar/serve/open-tunnels.ts'
import type { Connected } from '../sidecar/upstream/connect.ts'
import { UpstreamConnection } from '../sidecar/upstream/connection.ts'
import { Deadlines } from '../sidecar/upstream/deadlines.ts'
import { EndpointPool, type PoolDeps } from '../sidecar/upstream/pool.ts'
import { Upstreams } from '../sidecar/upstream/upstreams.ts'
import { GrpcApp, Http2Caller, SessionedPool, windowUpdate } from './javascript-http2.ts'
import { GRPC_MESSAGE } from './load/http2-probe.ts'
import { summarise } from './measure/statistics.ts'
import { APP } from './peers/hauberk.ts'
import { keysFor, readMesh, translateFor } from './peers/sidecar.ts'
import { APP_ID, CLIENT_ID, makeCertificates } from './world/certificates.ts'
import { makeTokens } from './world/tokens.ts'

const CONNECTIONS = 32
const WARM_UP_MS = 2_500
const ROUND_MS = 1_000
const ROUNDS = 5
const BATCHES_PER_TURN = 50
const HTTP2_CONNECTIONS = 8
const HTTP2_STREAMS = 10

const tokenCount = Number(process.argv[2] ?? 0)
const protocol = process.argv[3] ?? 'http1'
if (!['http1', 'http2', 'grpc'].includes(protocol)) throw new RangeError('the protocol is http1, http2 or grpc')
const isGrpc = protocol === 'grpc'
if (!Number.isInteger(tokenCount) || tokenCount < 0) throw new RangeError('tokens is a whole number from 0')

const directory = await mkdtemp(join(tmpdir(), 'hauberk-bench-'))
const certificates = await makeCertificates(directory)
await rm(directory, { recursive: true })
const tokens = makeTokens(Math.max(1, tokenCount))
const { config } = translateFor(APP, await readMesh(meshOf()), certificates.root)
const keys = createIssuerKeys(clock, () => false)
keys.replace(keysFor(tokens))
const metrics = createSidecarMetrics(createMetrics(), {
  certificateReceivedMs: () => undefined,
  certificateNotAfterMs: () => undefined,
  configVersion: () => undefined,
  configTakenAtMs: () => undefined,
  operatorConnected: () => false,
  connections: () => 0,
  inFlight: () => 0,
  upstreamConnections: () => 0,
  logLinesDropped: () => 0,
})
const compiled = compile(config, undefined, { clock, crypto: openssl, keys, count: metrics.count })
if (!compiled.ok) throw new Error(compiled.issues.map(describeIssue).join('; '))
const pipeline = compiled.value
const identity = createIdentity(
  { ...certificates.server, trustBundle: [certificates.root], receivedAtMs: clock.now() },
  APP_ID,
  clock.now(),
)
if (!identity.ok) throw new Error(identity.issues.map(describeIssue).join('; '))

const limits = { ...DEFAULT_LIMITS, maxRequestsPerConnection: Number.MAX_SAFE_INTEGER, maxLagMs: Number.MAX_VALUE }
const deadlines = new Deadlines(clock)
const readBuffer = Buffer.allocUnsafeSlow(65_536)
const poolDeps: PoolDeps = {
  identity: createIdentityStore(identity.value),
  clock,
  deadlines,
  connectMs: limits.connectMs,
  readBuffer,
  limits,
  counts: { open: 0, idle: 0 },
}
const decisions = createDecisionLog({
  level: 'denied',
  workload: 'bench/app',
  sink: { write() {}, drop() {}, dropped: 0 },
  clock,
})
let newest: RequestRecord | undefined
const upstreamTable = new Upstreams(poolDeps, Math.random)
const engine: Engine = {
  pipeline: () => pipeline,
  endpoints: () => undefined,
  upstreams: upstreamTable,
  mirrors: new Mirrors(upstreamTable, clock, deadlines, Math.random),
  random: Math.random,
  poolDeps,
  identity: poolDeps.identity,
  observer: {
    request(record) {
      newest = record
      metrics.request(record)
      decisions.request(record)
    },
    connection() {},
  },
  clock,
  log: { ...silentLog, error: (message: string, fields) => console.error(message, fields) },
  limits,
  clientReadBuffer: Buffer.allocUnsafeSlow(LENT_READ_BYTES),
  deadlines,
  tunnels: new OpenTunnels(() => pipeline),
  load: createLoad(clock, limits),
  newId: createIdSource(),
  isDraining: () => false,
}

/** Takes what is written and has nothing to say. */
class IdleSocket extends EventEmitter {
  readonly writableNeedDrain = false
  writableCorked = 0
  write(): boolean {
    return true
  }
  cork(): void {
    this.writableCorked = 1
  }
  uncork(): void {
    this.writableCorked = 0
  }
  pause(): void {}
  resume(): void {}
  end(): void {
    throw new Error(`a connection was closed after status ${newest?.status}`)
  }
  destroy(): void {
    this.end()
  }
}

const idleSocket = () => new IdleSocket() as unknown as Socket & IdleSocket
const idleConnection = (): Connected => ({
  socket: idleSocket(),
  peer: undefined,
  usableMs: Number.POSITIVE_INFINITY,
})
const client = (): Client => ({
  peer: {
    spiffeId: CLIENT_ID,
    trustDomain: identity.value.trustDomain,
    namespace: 'bench',
    serviceAccount: 'client',
    ip: '127.0.0.1',
  },
  isSecure: true,
  serverName: undefined,
  forwarded: new ForwardedLines(`By=${APP_ID};Hash=${'0'.repeat(64)};URI=${CLIENT_ID}`),
  notAfterMs: Number.POSITIVE_INFINITY,
})
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 22:10:45 GMT\r\nContent-Type: text/plain\r\n` +
    `Content-Length: 1024\r\nConnection: keep-alive\r\n\r\n${'hauberk '.repeat(128)}`,
)

/** Requests that are sent at once, and then answered. */
interface Batches {
  readonly requests: number
  /** How many come in one turn of the event loop. */
  readonly perTurn: number
  run(): void
}

const batches = protocol === 'http1' ? http1Batches() : isGrpc ? grpcBatches() : http2Batches()

function meshOf(): 'identity' | 'jwt-limit' | 'grpc' {
  if (isGrpc) return 'grpc'
  return tokenCount === 0 ? 'identity' : 'jwt-limit'
}

/** Kept connections to an application that speaks HTTP/1.1, all of them idle. */
function http1App(count: number): { readonly pool: EndpointPool; answerAll(): void } {
  const pool = new EndpointPool({ kind: 'plain', host: '127.0.0.1', port: 9 }, poolDeps)
  const upstreams = Array.from({ length: count }, () => {
    const connection = new UpstreamConnection(idleConnection(), Number.POSITIVE_INFINITY, pool)
    connection.uses = 1
    pool.giveBack(connection)
    return connection
  })
  answer.copy(readBuffer)
  return {
    pool,
    answerAll() {
      for (const upstream of upstreams) if (upstream.user !== undefined) upstream.onRead(answer.length, readBuffer)
    },
  }
}

function http1Batches(): Batches {
  const app = http1App(CONNECTIONS)
  const site = inboundSite(8080, '8080', app.pool)
  const clients = Array.from({ length: CONNECTIONS }, () => {
    const socket = idleSocket()
    new HttpConnection({ engine, socket, client: client(), site, handOver() {} })
    return socket
  })
  const requests = tokens.valid.map((token) => {
    const authorization = tokenCount === 0 ? '' : `Authorization: Bearer ${token}\r\n`
    return Buffer.from(`GET /orders/1 HTTP/1.1\r\nHost: 127.0.0.1:12345\r\n${authorization}\r\n`)
  })
  let sent = 0
  return {
    requests: CONNECTIONS,
    perTurn: BATCHES_PER_TURN,
    run() {
      for (const socket of clients) {
        // As TLS hands it over: a chunk of its own, whose memory is not on V8's heap.
        socket.emit('data', Buffer.from(new Uint8Array(requests[sent++ % requests.length]!).buffer))
      }
      app.answerAll()
    },
  }
}

function http2Batches(): Batches {
  const app = http1App(HTTP2_CONNECTIONS * HTTP2_STREAMS)
  const callers = http2Callers(app.pool)
  callers.begin()
  app.answerAll()
  return {
    requests: HTTP2_CONNECTIONS * HTTP2_STREAMS,
    perTurn: 1,
    run() {
      callers.next()
      app.answerAll()
    },
  }
}

function grpcBatches(): Batches {
  const pool = new SessionedPool(idleConnection(), poolDeps, clock, deadlines)
  const app = new GrpcApp()
  const callers = http2Callers(pool)
  pool.connection.onRead(app.begin().copy(readBuffer), readBuffer)
  callers.begin()
  const calls = HTTP2_CONNECTIONS * HTTP2_STREAMS
  const answerAll = (count: number) => pool.connection.onRead(app.next(count, readBuffer), readBuffer)
  answerAll(HTTP2_CONNECTIONS)
  return {
    requests: calls,
    perTurn: 1,
    run() {
      callers.next()
      answerAll(calls)
    },
  }
}

function http2Callers(pool: EndpointPool) {
  const site = inboundSite(8080, '8080', pool)
  const callers = Array.from({ length: HTTP2_CONNECTIONS }, (_, i) => {
    const socket = idleSocket()
    new Http2Connection({ engine, socket, client: client(), site, limits: MESH_LIMITS })
    const token = tokenCount === 0 ? undefined : tokens.valid[i % tokenCount]
    return { socket, caller: new Http2Caller(HTTP2_STREAMS, token, isGrpc) }
  })
  const read = windowUpdate(HTTP2_STREAMS * (isGrpc ? GRPC_MESSAGE.length : 1_024))
  return {
    begin() {
      for (const { socket, caller } of callers) socket.emit('data', caller.begin())
    },
    next() {
      for (const { socket, caller } of callers) {
        socket.emit('data', read)
        socket.emit('data', caller.next())
      }
    },
  }
}

/** Nanoseconds of this process's CPU for a request, over `forMs`. */
async function round(forMs: number): Promise<number> {
  const until = clock.monotonic() + forMs
  const before = process.cpuUsage()
  let count = 0
  while (clock.monotonic() < until) {
    for (let i = 0; i < batches.perTurn; i++) batches.run()
    count += batches.perTurn * batches.requests
    await turn()
  }
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1_000) / count
}

batches.run()
if (newest?.status !== 200) throw new Error(`the answer is ${newest?.status}, ${newest?.refusal?.detail}`)
await round(WARM_UP_MS)
const rounds: number[] = []
for (let i = 0; i < ROUNDS; i++) rounds.push(await round(ROUND_MS))
const { median, min, max } = summarise(rounds)
process.stdout.write(
  `${protocol}, ${tokenCount} tokens: ${median.toFixed(0)} ns a request [${min.toFixed(0)} - ${max.toFixed(0)}]\n`,
)
process.exit()
