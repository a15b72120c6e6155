import type { EndpointsDocument } from '../../../contract/endpoints.ts'
import type { WorkloadConfig } from '../../../contract/workload-config.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { compile } from '../../compile/compile.ts'
import type { Identity } from '../../identity/identity.ts'
import { createIdentityStore } from '../../identity/identity-store.ts'
import { createDataPlane } from '../data-plane.ts'

/**
 * A data plane in a process of its own, for a test that takes its descriptors away: reads what it serves from standard
 * input, and prints the port of its first listener.
 */
interface Given {
  readonly config: WorkloadConfig
  readonly endpoints: EndpointsDocument
  readonly identity: Identity
}

let text = ''
for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk
const { config, endpoints, identity } = JSON.parse(text) as Given
const compiled = compile(config, undefined, {
  clock: systemClock,
  crypto: { sha256: (of) => of, importJwk: () => undefined, verify: () => false },
  keys: { generation: 0, keysOf: () => undefined, refresh: async () => {} },
  count: () => {},
})
if (!compiled.ok) throw new Error(JSON.stringify(compiled.issues))
const plane = createDataPlane({
  placement: { inbound: [], gateway: [{ listener: 'http', bind: { host: '127.0.0.1', port: 0 } }], tcp: [] },
  pipeline: () => compiled.value,
  endpoints: () => endpoints,
  identity: createIdentityStore(identity),
  observer: { request() {}, connection() {} },
  clock: systemClock,
  log: silentLog,
})
await plane.listen()
console.log(plane.listeners()[0]!.address.port)
