import type {
  GatewayListener,
  InboundListener,
  RouteConfig,
  StreamListener,
  StreamRoute,
  TraceConfig,
  WorkloadConfig,
} from '../../contract/workload-config.ts'
import type { Check, Filter } from '../../model/filter.ts'
import type { RequestView } from '../../model/request.ts'

/** A WorkloadConfig made ready to run. Immutable; the data plane holds one reference to the newest and swaps it whole. */
export interface Pipeline {
  readonly version: string
  readonly config: WorkloadConfig
  /** By container port. */
  readonly inbound: ReadonlyMap<number, InboundPipeline>
  /** By name of the Gateway's listener. */
  readonly gateway: ReadonlyMap<string, GatewayPipeline>
  /** By upstream: the ports of Services that have routes. */
  readonly outbound: ReadonlyMap<string, OutboundPipeline>
  /** What is asked about each request of the workload to a Service of the mesh. */
  readonly calls: Chain
  /** By name of the Gateway's listener: those whose connections are carried as bytes. */
  readonly streams: ReadonlyMap<string, StreamPipeline>
  /** How traces are kept, as the config says it or a filter needs it; undefined: they are not. */
  readonly trace: TraceConfig | undefined
  /** What `compile` adopts from when the next config comes. */
  readonly memory: PipelineMemory
}

export interface InboundPipeline {
  readonly listener: InboundListener
  /** Undefined: no route matches (404). Only for `protocol: http`. */
  route(request: RequestView): CompiledRoute | undefined
  /** Judges a connection of a TCP port. */
  readonly tcp: Chain
  /** Where a filter has to know how connections of a TCP port begin. */
  readonly opening?: OpeningPlan
}

/** When a connection is judged, of which a filter wants to know how it begins. */
export interface OpeningPlan {
  readonly of: 'postgres'
  /**
   * True: the beginning is read, and answered, between `before` and `after`. False: only a dry run wants it, which may change
   * nothing: the bytes pass as they come, and `after` is asked when they have said enough.
   */
  readonly isEnforced: boolean
  /** What is asked of a connection of which nothing was read. */
  readonly before: Chain
  readonly after: Chain
}

export interface GatewayPipeline {
  readonly listener: GatewayListener
  route(request: RequestView): CompiledRoute | undefined
}

export interface StreamPipeline {
  readonly listener: StreamListener
  /** By the name that the client asks for, in lower case; undefined: it asks for none. Undefined: no route takes it. */
  route(serverName: string | undefined): CompiledStreamRoute | undefined
}

export interface CompiledStreamRoute {
  readonly id: string
  readonly config: StreamRoute
  readonly chain: Chain
}

export interface OutboundPipeline {
  route(request: RequestView): CompiledRoute | undefined
}

export interface CompiledRoute {
  readonly id: string
  readonly config: RouteConfig
  readonly chain: Chain
}

/** The checks of one route in the order that a request meets them. */
export interface Chain {
  readonly enforced: readonly Step[]
  /**
   * What would run if the dry-run policies were enforced too; absent when there are none. Steps that are not repeatable
   * and enforced anyway are left out: their verdict is known.
   */
  readonly shadow?: readonly Step[]
}

export interface Step {
  readonly filter: Filter
  readonly check: Check
  /** `namespace/name@generation` of the policies behind it. */
  readonly origins: readonly string[]
  readonly config: unknown
  /** Set for a slot whose references do not resolve; its check refuses everything. */
  readonly unresolved?: string
  /** True for the dry-run slot itself, false for an enforced step that stands in the shadow for its facts. */
  readonly dryRun: boolean
}

export interface PipelineMemory {
  /** Compiled checks by filter, mode and canonical config, each with the keys of the values that it remembers. */
  readonly checks: ReadonlyMap<string, { readonly check: Check; readonly remembers: readonly string[] }>
  /** Values that filters asked to be remembered. */
  readonly values: ReadonlyMap<string, unknown>
  /** Compiled routes by the very object that they are of, each with the keys of the checks that it asks. */
  readonly routes: ReadonlyMap<RouteConfig, { readonly compiled: CompiledRoute; readonly checks: readonly string[] }>
  /** That all of it was compiled with. */
  readonly filters: readonly Filter[]
}
