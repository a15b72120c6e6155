import * as v from 'valibot'
import { EdgeCounts, MAX_TOLD_EDGES } from './edges.ts'
import { EndpointsDocument } from './endpoints.ts'
import { KeysDocument } from './keys.ts'
import { RevocationsDocument } from './revocations.ts'
import { WorkloadConfig } from './workload-config.ts'

/**
 * The session between a sidecar and an operator: a WebSocket over mTLS on `SESSION_PATH`, one JSON message a frame.
 * The first message is the sidecar's hello; documents flow one way, acknowledgements the other.
 */
export const SESSION_PATH = '/v1/session'

/**
 * The WebSocket subprotocols, the newest first; another version is another name. With v2 an operator may say a config as a
 * change of the one that it was acknowledged last (`ConfigChange`); v1 has whole configs only.
 */
export const SESSION_PROTOCOLS = ['hauberk.session.v2', 'hauberk.session.v1'] as const
export type SessionProtocol = (typeof SESSION_PROTOCOLS)[number]

/** Bytes of one message at most. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

export const DOCUMENTS = ['config', 'endpoints', 'keys', 'revocations'] as const
export type DocumentKind = (typeof DOCUMENTS)[number]

/** Of a release, a workload, a pod: what an operator keeps of every session is bounded. */
const name = v.pipe(v.string(), v.maxLength(512))

const wireIssue = v.strictObject({
  code: v.string(),
  severity: v.picklist(['error', 'warning']),
  path: v.string(),
  message: v.string(),
  fix: v.optional(v.string()),
})

const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(Number.MAX_SAFE_INTEGER))

const lookId = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))

export const SidecarMessage = v.variant('type', [
  v.strictObject({
    type: v.literal('hello'),
    /** The newest contract version that this sidecar speaks. */
    contract: v.pipe(v.number(), v.integer(), v.minValue(1)),
    release: name,
    workload: name,
    pod: name,
    /** Versions of the documents that it holds (from disk, or from before the session broke). */
    have: v.strictObject({
      config: v.optional(v.string()),
      endpoints: v.optional(v.string()),
      keys: v.optional(v.string()),
      /** Since 3. An operator that takes `hauberk.session.v2` knows it; others are not told. */
      revocations: v.optional(v.string()),
    }),
  }),
  v.strictObject({ type: v.literal('ack'), document: v.picklist(DOCUMENTS), version: v.string() }),
  v.strictObject({
    type: v.literal('nack'),
    document: v.picklist(DOCUMENTS),
    version: v.string(),
    issues: v.pipe(v.array(wireIssue), v.maxLength(64)),
  }),
  /** A token named a key that the sidecar does not have. The operator answers with `keys-checked` when it has looked. */
  v.strictObject({ type: v.literal('refresh-keys'), issuer: v.string() }),
  /** What dry runs would have denied since the last report. */
  v.strictObject({
    type: v.literal('dry-run'),
    counts: v.pipe(
      v.array(v.strictObject({ origin: v.string(), rule: v.string(), wouldDeny: count })),
      v.maxLength(1_000),
    ),
  }),
  /** The answer to a `look`. Since 3. */
  v.strictObject({
    type: v.literal('seen'),
    id: lookId,
    edges: v.pipe(v.array(EdgeCounts), v.maxLength(MAX_TOLD_EDGES)),
    /** Edges that were left out. */
    omitted: v.pipe(v.number(), v.integer(), v.minValue(0)),
  }),
])
export type SidecarMessage = v.InferOutput<typeof SidecarMessage>

export const OperatorMessage = v.variant('type', [
  v.strictObject({ type: v.literal('config'), config: WorkloadConfig }),
  v.strictObject({ type: v.literal('endpoints'), endpoints: EndpointsDocument }),
  v.strictObject({ type: v.literal('keys'), keys: KeysDocument }),
  /** Since 3. */
  v.strictObject({ type: v.literal('revocations'), revocations: RevocationsDocument }),
  v.strictObject({ type: v.literal('keys-checked'), issuer: v.string() }),
  /** Somebody wants to see what goes on. Sidecars before version 3 are not asked. Since 3. */
  v.strictObject({ type: v.literal('look'), id: lookId }),
])
export type OperatorMessage = v.InferOutput<typeof OperatorMessage>
