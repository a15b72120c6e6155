import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Endpoint, EndpointsDocument } from '../../../contract/endpoints.ts'
import type {
  FilterSlots,
  GatewayListener,
  InboundListener,
  RouteAction,
  RouteConfig,
  Upstream,
  WorkloadConfig,
} from '../../../contract/workload-config.ts'
import { defineFilter, type Filter } from '../../../model/filter.ts'
import { ok } from '../../../model/result.ts'
import type { HeaderPair, Verdict } from '../../../model/verdict.ts'
import { CONTINUE } from '../../../model/verdict.ts'
import { createTestCa, type TestCa } from '../../../model/x509/testing/test-ca.ts'
import { type Clock, systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { type CompileDeps, compile } from '../../compile/compile.ts'
import type { Pipeline } from '../../compile/pipeline.ts'
import type { Identity } from '../../identity/identity.ts'
import { createIdentityStore, type IdentityStore } from '../../identity/identity-store.ts'
import { testId, testIdentity } from '../../identity/testing/test-identity.ts'
import { createDataPlane, type DataPlane, type DataPlaneOptions } from '../data-plane.ts'
import type { Limits } from '../limits.ts'
import type { ConnectionRecord, RequestRecord } from '../observation.ts'
import type { Placement } from '../placement.ts'

/** A certificate authority and whom it vouches for. */
export interface TestMesh {
  readonly ca: TestCa
  identity(name: string, notAfterMs?: number): Promise<Identity>
}

export async function createTestMesh(): Promise<TestMesh> {
  const ca = await createTestCa()
  return { ca, identity: (name, notAfterMs) => testIdentity(ca, name, notAfterMs) }
}

/** A data plane under test, and all that it told. */
export interface TestPlane {
  readonly plane: DataPlane
  readonly identity: IdentityStore
  readonly requests: RequestRecord[]
  readonly connections: ConnectionRecord[]
  port(name: string): number
  swap(config: WorkloadConfig): Promise<void>
  setEndpoints(endpoints: EndpointsDocument['endpoints']): void
}

export interface TestPlaneOptions {
  readonly config?: WorkloadConfig
  readonly placement: Partial<Placement>
  readonly identity: Identity
  readonly endpoints?: EndpointsDocument['endpoints']
  readonly limits?: Partial<Limits>
  readonly clock?: Clock
  readonly filters?: readonly Filter[]
  readonly options?: Partial<DataPlaneOptions>
}

/**
 * Where the time that passes is the machine's own: what a busy one takes its time over is not taken for trouble. A test of a limit brings
 * a clock that it moves by hand.
 */
export const PATIENT: Partial<Limits> = {
  headMs: 60_000,
  bodyMs: 60_000,
  bodyGraceMs: 60_000,
  halfClosedMs: 60_000,
  connectMs: 60_000,
  responseMs: 60_000,
  silenceMs: 60_000,
  pingMs: 60_000,
  pongMs: 60_000,
  maxLagMs: 60_000,
}

export async function startPlane(t: TestContext, given: TestPlaneOptions): Promise<TestPlane> {
  const { placement, clock = systemClock, filters = [gate] } = given
  const requests: RequestRecord[] = []
  const connections: ConnectionRecord[] = []
  const identity = createIdentityStore(given.identity)
  let pipeline = given.config === undefined ? undefined : compiled(given.config, undefined, filters)
  let endpoints = endpointsDocument(given.endpoints ?? {})
  const plane = createDataPlane({
    placement: { inbound: [], gateway: [], tcp: [], ...placement },
    pipeline: () => pipeline,
    endpoints: () => endpoints,
    identity,
    observer: {
      request: (record) => requests.push(record),
      connection: (record) => connections.push(record),
    },
    clock,
    log: silentLog,
    limits: { ...(clock === systemClock ? PATIENT : {}), ...given.limits },
    ...given.options,
  })
  t.after(() => plane.drain(0))
  await plane.listen()
  return {
    plane,
    identity,
    requests,
    connections,
    port(name) {
      const found = plane.listeners().find((listener) => listener.name === name)
      assert.ok(found, `${name} is bound`)
      return found.address.port
    },
    async swap(config) {
      const previous = pipeline
      const next = compiled(config, previous, filters)
      pipeline = next
      await plane.apply(previous, next)
    },
    setEndpoints(next) {
      endpoints = endpointsDocument(next)
    },
  }
}

export function compiled(config: WorkloadConfig, previous: Pipeline | undefined, filters: readonly Filter[]): Pipeline {
  const result = compile(config, previous, COMPILE_DEPS, filters)
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

function endpointsDocument(endpoints: EndpointsDocument['endpoints']): EndpointsDocument {
  return { contract: 1, version: String(Math.random()), endpoints }
}

const COMPILE_DEPS: CompileDeps = {
  clock: { now: Date.now, monotonic: () => performance.now() },
  crypto: { sha256: (text) => text, importJwk: () => undefined, verify: () => false },
  keys: { generation: 0, keysOf: () => undefined, refresh: async () => {} },
  count: () => {},
}

/** What the filter of these tests is told to do. */
export interface GateConfig {
  /** Only these callers; absent: all. */
  readonly spiffeIds?: readonly string[]
  readonly denyPath?: string
  /** Answers later than at once. */
  readonly later?: boolean
  /** Never answers. */
  readonly never?: boolean
  readonly answer?: { readonly status: number; readonly body?: string }
  /** Reads the body, of so many bytes at most, and answers with it; or lets the request pass after that, which it must not. */
  readonly echo?: { readonly maxBytes: number; readonly late?: boolean; readonly passes?: boolean }
  readonly setRequestHeaders?: readonly HeaderPair[]
  readonly removeRequestHeaders?: readonly string[]
  readonly setResponseHeaders?: readonly HeaderPair[]
  readonly denyHeaders?: readonly HeaderPair[]
  /** Told every request it judges. */
  readonly seen?: (header: (name: string) => string | undefined, clientIp: string) => void
}

/** A filter that does as it is told: what the data plane makes of verdicts is tested here, not what rooms decide. */
export const gate = defineFilter<GateConfig>({
  name: 'gate',
  denials: [],
  repeatable: true,
  tcp: true,
  decode: (wire) => ok(wire as GateConfig),
  compile(config) {
    const verdict = (spiffeId: string | undefined, path: string): Verdict => {
      if (config.answer !== undefined) return { kind: 'answer', headers: [], ...config.answer }
      const isCaller = config.spiffeIds === undefined || (spiffeId !== undefined && config.spiffeIds.includes(spiffeId))
      if (isCaller && path !== config.denyPath) return CONTINUE
      return {
        kind: 'deny',
        denial: { name: 'gate-shut', status: 403, title: 'The gate is shut.' },
        rule: 'callers',
        ...(config.denyHeaders === undefined ? {} : { headers: config.denyHeaders }),
      }
    }
    return ok((request, facts) => {
      config.seen?.((name) => request.header(name), request.clientIp)
      if (config.setRequestHeaders !== undefined) facts.setRequestHeaders = [...config.setRequestHeaders]
      if (config.removeRequestHeaders !== undefined) facts.removeRequestHeaders = [...config.removeRequestHeaders]
      if (config.setResponseHeaders !== undefined) facts.setResponseHeaders = [...config.setResponseHeaders]
      const said = verdict(request.peer.spiffeId, request.path)
      const { echo } = config
      if (echo !== undefined) {
        const read = () => request.body?.(echo.maxBytes) ?? Promise.resolve(undefined)
        const body = echo.late === true ? new Promise(setImmediate).then(read) : read()
        return body.then((bytes): Verdict => {
          if (echo.passes === true) return CONTINUE
          return {
            kind: 'answer',
            status: 200,
            headers: [],
            body: bytes === undefined ? 'none' : Buffer.from(bytes).toString(),
          }
        })
      }
      if (config.never === true) return new Promise(() => {})
      return config.later === true ? new Promise((resolve) => setImmediate(resolve, said)) : said
    })
  },
  explain: () => [],
})

export function gateSlots(config: GateConfig): FilterSlots {
  return { gate: [{ state: 'resolved', mode: 'enforce', origins: ['shop/gate@1'], config }] }
}

export function route(action: RouteAction, more: Partial<RouteConfig> = {}): RouteConfig {
  return {
    id: 'route',
    match: { hostnames: [], path: { type: 'prefix', value: '/' }, headers: [], query: [] },
    filters: {},
    action,
    ...more,
  }
}

/** Everything to the application on `port`. */
export function inbound(port: number, more: Partial<InboundListener> = {}, gated: GateConfig = {}): InboundListener {
  return {
    kind: 'inbound',
    port,
    protocol: 'http',
    mtls: 'Strict',
    routes: [route({ kind: 'app', port, requestTimeoutMs: 60_000 }, { filters: gateSlots(gated) })],
    filters: {},
    ...more,
  }
}

export function workloadConfig(
  listeners: readonly (InboundListener | GatewayListener)[],
  more: Partial<WorkloadConfig> = {},
): WorkloadConfig {
  return {
    contract: 1,
    version: String(Math.random()),
    workload: 'shop/orders',
    role: 'sidecar',
    identity: { spiffeId: testId('orders'), trustDomain: 'cluster.local' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [...listeners],
    outbound: { services: [], egress: [] },
    upstreams: {},
    ...more,
  }
}

export const LOOPBACK = { host: '127.0.0.1', port: 0 } as const

/** A gateway listener on which every host and path goes to `shop/orders:80`, unless the test says otherwise. */
export function gateway(more: Partial<GatewayListener> = {}): GatewayListener {
  return {
    kind: 'gateway',
    name: 'http',
    port: 80,
    protocol: 'http',
    certificates: [],
    routes: [route(forwardTo('shop/orders:80'))],
    ...more,
  }
}

export function forwardTo(...upstreams: readonly string[]): Extract<RouteAction, { kind: 'forward' }> {
  return {
    kind: 'forward',
    backends: upstreams.map((upstream) => ({ upstream, weight: 1 })),
    requestTimeoutMs: 60_000,
  }
}

export function plaintextUpstream(service = 'shop/orders', port = 80): Upstream {
  return { service, port, protocol: 'http', tls: 'plaintext', spiffeIds: [] }
}

export function meshUpstream(name: string, protocol: 'http' | 'tcp' = 'http', port = 80): Upstream {
  return { service: `shop/${name}`, port, protocol, tls: 'mesh', spiffeIds: [testId(name)] }
}

export function endpoint(port: number): Endpoint {
  return { address: '127.0.0.1', port, pod: `shop/pod-${port}` }
}

/** A gateway in front of one plaintext backend. */
export async function startGateway(
  t: TestContext,
  mesh: TestMesh,
  backendPort: number,
  given: {
    readonly listeners?: readonly GatewayListener[]
    readonly config?: Partial<WorkloadConfig>
  } & Partial<Omit<TestPlaneOptions, 'config'>> = {},
): Promise<TestPlane> {
  const { listeners = [gateway()], config = {}, ...more } = given
  return startPlane(t, {
    identity: await mesh.identity('gateway'),
    config: workloadConfig(listeners, {
      workload: 'shop/gateway',
      role: 'gateway',
      upstreams: { 'shop/orders:80': plaintextUpstream() },
      ...config,
    }),
    endpoints: { 'shop/orders:80': [endpoint(backendPort)] },
    placement: { gateway: listeners.map(({ name }) => ({ listener: name, bind: LOOPBACK })) },
    ...more,
  })
}

/** An application of this machine behind its sidecar, and a gateway that asks it over mutual TLS. */
export async function startBehindGateway(
  t: TestContext,
  mesh: TestMesh,
  appPort: number,
  given: Parameters<typeof startGateway>[3] = {},
): Promise<TestPlane> {
  const workload = await startPlane(t, {
    config: workloadConfig([inbound(8080)]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: appPort } }] },
    identity: await mesh.identity('orders'),
  })
  return startGateway(t, mesh, workload.port('8080'), {
    config: { upstreams: { 'shop/orders:80': meshUpstream('orders') } },
    ...given,
  })
}
