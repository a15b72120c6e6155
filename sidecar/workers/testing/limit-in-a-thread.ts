import { parentPort, workerData } from 'node:worker_threads'
import type { Check } from '../../../model/filter.ts'
import type { Facts, RequestView } from '../../../model/request.ts'
import { rateLimit } from '../../../policies/rate-limit/filter.ts'
import { openSharedTimes, type SharedTimesMemory } from '../shared-times.ts'

/** What the thread is told. */
export interface LimitInAThread {
  readonly memory: SharedTimesMemory
  /** A word that becomes 1 when all are to begin. */
  readonly begin: SharedArrayBuffer
  readonly config: unknown
  readonly clients: number
  /** Of each client. */
  readonly requests: number
}

/** A thread that calls as often as it is told, as fast as it can, and says how often it was let through, by client. */
const { memory, begin, config, clients, requests } = workerData as LimitInAThread
const decoded = rateLimit.decode(config)
if (!decoded.ok) throw new Error(JSON.stringify(decoded.issues))
const compiled = rateLimit.compile(decoded.value, {
  clock: { now: () => 0, monotonic: () => 1_000 },
  crypto: { sha256: (text) => text, importJwk: () => undefined, verify: () => false },
  keys: { generation: 0, keysOf: () => undefined, refresh: () => Promise.resolve() },
  remember: (_, create) => create(),
  sharedTimes: openSharedTimes(memory),
  count: () => {},
})
if (!compiled.ok) throw new Error(JSON.stringify(compiled.issues))
const check: Check = compiled.value

parentPort?.postMessage('ready')
Atomics.wait(new Int32Array(begin), 0, 0)
const passed = Array<number>(clients).fill(0)
for (let i = 0; i < requests; i++) {
  for (let client = 0; client < clients; client++) {
    const request = { method: 'GET', path: '/', peer: {}, clientIp: `10.0.0.${client}` } as unknown as RequestView
    const verdict = check(request, {} as Facts)
    if (!(verdict instanceof Promise) && verdict.kind === 'continue') passed[client]! += 1
  }
}
parentPort?.postMessage(passed)
