import * as v from 'valibot'
import { CONTRACT_VERSIONS } from './workload-config.ts'

/** Where one replica of a Service's port is reached: at its sidecar. */
export const Endpoint = v.strictObject({
  /** An IP literal. */
  address: v.string(),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)),
  /** `namespace/pod`. */
  pod: v.string(),
  /** The pod's addresses of other families: whoever dials one of these means this endpoint. Since 2. */
  otherAddresses: v.optional(v.pipe(v.array(v.string()), v.maxLength(8))),
  /** Where it is, by `topology.kubernetes.io/zone`. Since 3. */
  zone: v.optional(v.string()),
})
export type Endpoint = v.InferOutput<typeof Endpoint>

/** Blocks in `EndpointsDocument.meshed` at most. */
export const MAX_MESHED_BLOCKS = 256

/** The endpoints of the upstreams in a WorkloadConfig: a document of its own, because it changes most. */
export const EndpointsDocument = v.strictObject({
  contract: v.picklist(CONTRACT_VERSIONS),
  version: v.string(),
  /** By name of the upstream. An upstream that is missing has none. */
  endpoints: v.record(v.string(), v.array(Endpoint)),
  /**
   * Blocks of addresses where the mesh is, in all namespaces: no egress rule leads into them, so that no workload is called
   * in plaintext. Each pod and Service by itself while they are few, wider blocks when they are many. Since 2.
   */
  meshed: v.optional(v.pipe(v.array(v.string()), v.maxLength(MAX_MESHED_BLOCKS))),
  /**
   * The zones of the workload's own pods, by `namespace/pod`: each of its sidecars finds its own in it. Only where an upstream
   * prefers zones. Since 3.
   */
  zones: v.optional(v.record(v.string(), v.string())),
  /** Replicas of the workload that may answer requests: among them its shared limits are divided. Only where it has such limits. Since 3. */
  replicas: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
})
export type EndpointsDocument = v.InferOutput<typeof EndpointsDocument>
