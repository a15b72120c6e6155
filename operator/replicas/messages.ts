import * as v from 'valibot'
import { DOCUMENTS } from '../../contract/session.ts'

/**
 * What an operator that does not lead tells the one that does: who is connected to it and obeys what, and what dry runs
 * counted. A WebSocket over mTLS on `REPLICA_PATH`, both ends of it the operator's own SPIFFE id, one JSON message a frame.
 *
 * During an upgrade the two ends are of two releases: fields that one does not know are passed over.
 */
export const REPLICA_PATH = '/v1/replica'

/** The WebSocket subprotocol; another version is another name. */
export const REPLICA_PROTOCOL = 'hauberk.replica.v1'

/** Bytes of one message at most. */
export const MAX_REPLICA_MESSAGE_BYTES = 1024 * 1024

/** Entries of one message at most. */
export const MAX_BATCH = 500

/** The close code of an operator that does not lead (any more): look into the Lease again. */
export const NOT_LEADING = 4421

const name = v.pipe(v.string(), v.maxLength(1_024))
/** Of a session; a SPIFFE id is part of it. */
const key = v.pipe(v.string(), v.maxLength(4_096))
const fingerprint = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const version = v.pipe(v.string(), v.maxLength(256))

const standing = v.object({
  acknowledged: v.exactOptional(version),
  refused: v.exactOptional(
    v.object({
      version,
      issues: v.pipe(
        v.array(
          v.object({
            code: v.string(),
            severity: v.picklist(['error', 'warning']),
            path: v.string(),
            message: v.string(),
            fix: v.exactOptional(v.string()),
          }),
        ),
        v.maxLength(64),
      ),
    }),
  ),
})

const sidecar = v.object({
  workload: name,
  pod: name,
  connected: v.boolean(),
  release: name,
  contract: count,
  since: v.number(),
  root: v.exactOptional(fingerprint),
  documents: v.object(v.entriesFromList(DOCUMENTS, v.exactOptional(standing))),
})

const dryRun = v.object({ policy: name, generation: count, counts: v.record(name, count) })

export const ReplicaMessage = v.variant('type', [
  /** The first message. What was told under this name before is replaced once `whole` comes. */
  v.object({ type: v.literal('hello'), replica: name, release: name }),
  v.object({
    type: v.literal('update'),
    sidecars: v.pipe(v.array(v.object({ key, sidecar })), v.maxLength(MAX_BATCH)),
    /** Keys of sidecars that left. */
    left: v.pipe(v.array(key), v.maxLength(MAX_BATCH)),
    /** All that was counted, not what came to it. */
    dryRuns: v.pipe(v.array(dryRun), v.maxLength(MAX_BATCH)),
    /** Policies that nothing is counted of any more. */
    forgotten: v.pipe(v.array(name), v.maxLength(MAX_BATCH)),
  }),
  /** Of the operator itself: the roots it trusts, and the one that vouches for its certificate. */
  v.object({
    type: v.literal('self'),
    trusts: v.pipe(v.array(fingerprint), v.maxLength(64)),
    root: v.exactOptional(fingerprint),
  }),
  /** Everything there is has been told; from here on what changes. */
  v.object({ type: v.literal('whole') }),
])
export type ReplicaMessage = v.InferOutput<typeof ReplicaMessage>
export type ReplicaSelf = Omit<Extract<ReplicaMessage, { type: 'self' }>, 'type'>
export type ReplicaUpdate = Extract<ReplicaMessage, { type: 'update' }>
