import * as v from 'valibot'
import { CONTRACT_VERSION } from './workload-config.ts'

/** Where one replica of a Service's port is reached: at its sidecar. */
export const Endpoint = v.strictObject({
  /** An IP literal. */
  address: v.string(),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)),
  /** `namespace/pod`. */
  pod: v.string(),
})
export type Endpoint = v.InferOutput<typeof Endpoint>

/** The endpoints of the upstreams in a WorkloadConfig: a document of its own, because it changes most. */
export const EndpointsDocument = v.strictObject({
  contract: v.literal(CONTRACT_VERSION),
  version: v.string(),
  /** By name of the upstream. An upstream that is missing has none. */
  endpoints: v.record(v.string(), v.array(Endpoint)),
})
export type EndpointsDocument = v.InferOutput<typeof EndpointsDocument>
