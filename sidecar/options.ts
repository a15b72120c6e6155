import * as v from 'valibot'
import { decode } from '../contract/codec.ts'
import { MAX_WORKERS } from '../contract/pod.ts'
import { describeIssue } from '../model/result.ts'
import { parseSpiffeId, type SpiffeId } from '../model/spiffe-id.ts'
import { readFileCapped } from '../runtime/atomic-file.ts'
import { LOG_LEVELS } from '../runtime/log.ts'
import type { Placement } from './serve/placement.ts'

/** Everything that a sidecar or gateway is told at its start. It holds secrets by the names of their files only, except the proxy's credential: so the options file is 0600. */
export interface SidecarOptions {
  /** `namespace/name`. */
  readonly workload: string
  /** `namespace/name`. */
  readonly pod: string
  readonly spiffeId: SpiffeId
  readonly operator: { readonly host: string; readonly port: number; readonly spiffeId: SpiffeId }
  /** `ca.crt`: PEM. */
  readonly trustAnchorsFile: string
  readonly joinTokenFile: string
  /** Key, certificate and last good configuration; only this process may read it. */
  readonly stateDirectory: string
  readonly admin: { readonly port: number; readonly tokenFile: string }
  /** A file with the process id that the workload's process tree starts from, written by whoever starts it. */
  readonly appPidFile?: string
  readonly placement: Placement
  /** A folder in which the app finds its identity as PKCS#12 files. Absent: it gets none. */
  readonly keystoreDirectory?: string
  readonly logLevel: (typeof LOG_LEVELS)[number]
  readonly decisionLog: 'all' | 'denied' | 'off'
  /** Milliseconds that requests in flight are given at the end. */
  readonly drainMs: number
  /** Threads that serve, from 1 to {@link MAX_WORKERS}. Default 1. */
  readonly workers?: number
}

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535))
const bindAddress = v.strictObject({ host: v.string(), port })
const spiffeId = v.pipe(
  v.string(),
  v.check((text) => parseSpiffeId(text).ok, 'is not a SPIFFE ID'),
  v.transform((text) => text as SpiffeId),
)

const Schema = v.strictObject({
  workload: v.pipe(v.string(), v.includes('/')),
  pod: v.pipe(v.string(), v.includes('/')),
  spiffeId,
  operator: v.strictObject({ host: v.string(), port: v.pipe(port, v.minValue(1)), spiffeId }),
  trustAnchorsFile: v.string(),
  joinTokenFile: v.string(),
  stateDirectory: v.string(),
  admin: v.strictObject({ port, tokenFile: v.string() }),
  appPidFile: v.exactOptional(v.string()),
  placement: v.strictObject({
    inbound: v.array(
      v.strictObject({
        containerPort: port,
        bind: bindAddress,
        app: v.union([bindAddress, v.strictObject({ unixSocket: v.string() })]),
      }),
    ),
    gateway: v.array(v.strictObject({ listener: v.string(), bind: bindAddress, visiblePort: v.exactOptional(port) })),
    proxy: v.exactOptional(
      v.strictObject({
        bind: bindAddress,
        credential: v.strictObject({ username: v.string(), password: v.pipe(v.string(), v.minLength(22)) }),
      }),
    ),
    tcp: v.array(v.strictObject({ upstream: v.string(), bind: bindAddress })),
  }),
  keystoreDirectory: v.exactOptional(v.string()),
  logLevel: v.optional(v.picklist(LOG_LEVELS), 'info'),
  decisionLog: v.optional(v.picklist(['all', 'denied', 'off']), 'all'),
  drainMs: v.optional(v.pipe(v.number(), v.minValue(0)), 10_000),
  workers: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_WORKERS)), 1),
})

/** Reads the options file. Throws an Error that names every mistake in it. */
export async function readSidecarOptions(path: string): Promise<SidecarOptions> {
  const decoded = decode(Schema, (await readFileCapped(path, MAX_OPTIONS_BYTES)).toString('utf8'))
  if (!decoded.ok) throw new Error(`${path}: ${decoded.issues.map(describeIssue).join('; ')}`)
  return decoded.value
}

const MAX_OPTIONS_BYTES = 1_048_576
