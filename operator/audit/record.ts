import { createHash } from 'node:crypto'
import { canonicalJson } from '../../contract/codec.ts'
import type { AuditAction, AuditEvent } from './audit.ts'

/** `event.dataset` of every record, by which it is told from the rest of a log. */
export const AUDIT_DATASET = 'hauberk.audit'

/** What stands before the first record of a chain. */
export const GENESIS = '0'.repeat(64)

/** Where a chain ends: what the next record is tied to. */
export interface ChainEnd {
  /** Of the chain: who wrote it, and since when. */
  readonly chain: string
  /** Of the last record, from 1; 0: there is none. */
  readonly sequence: number
  /** Of the last record; {@link GENESIS} where there is none. */
  readonly hash: string
}

/** Members that make a record one of a chain. The others are those of its event. */
export interface ChainedRecord {
  readonly 'event.dataset': typeof AUDIT_DATASET
  readonly 'event.sequence': number
  readonly 'event.hash': string
  readonly 'hauberk.audit.chain': string
  readonly 'hauberk.audit.previous': string
  readonly [field: string]: unknown
}

/**
 * An event as a record of the Elastic Common Schema 8, tied to the one before it: `hauberk.audit.previous` is that one's hash, and
 * `event.hash` the SHA-256 (hex) over the canonical JSON of all the rest, so that nothing can be changed, taken out or put in between
 * without a hash that does not fit.
 */
export function chained({ action, fields }: AuditEvent, timeMs: number, end: ChainEnd): ChainedRecord {
  const record = {
    '@timestamp': new Date(timeMs).toISOString(),
    'log.level': 'info',
    message: 'audit',
    'ecs.version': '8.10.0',
    'event.dataset': AUDIT_DATASET,
    'event.kind': 'event',
    ...CLASSES[action],
    'event.action': action,
    'event.sequence': end.sequence + 1,
    'hauberk.audit.chain': end.chain,
    'hauberk.audit.previous': end.hash,
    ...withoutUndefined(fields),
  } as const
  return { ...record, 'event.hash': hashOf(record) }
}

/** Of a record, whether or not it has one already. */
export function hashOf(record: Readonly<Record<string, unknown>>): string {
  const { 'event.hash': _, ...rest } = record
  return createHash('sha256').update(canonicalJson(rest)).digest('hex')
}

/** `event.category` and `event.type` of ECS. */
const CONFIGURATION = (...type: readonly string[]) => ({ 'event.category': ['configuration'], 'event.type': type })
const IAM = (...type: readonly string[]) => ({ 'event.category': ['iam'], 'event.type': type })

const CLASSES: Readonly<Record<AuditAction, ReturnType<typeof IAM>>> = {
  'audit-started': { 'event.category': ['process'], 'event.type': ['start'] },
  'policy-created': CONFIGURATION('creation'),
  'policy-changed': CONFIGURATION('change'),
  'policy-deleted': CONFIGURATION('deletion'),
  'policy-admitted': CONFIGURATION('access', 'allowed'),
  'policy-refused': CONFIGURATION('access', 'denied'),
  'certificate-issued': IAM('creation'),
  'token-issued': IAM('creation'),
  'key-created': IAM('creation'),
  'root-distributing': IAM('change'),
  'root-signing': IAM('change'),
  'root-retiring': IAM('change'),
  'root-rotated': IAM('change'),
  'root-distrusted': IAM('change'),
}

function withoutUndefined(fields: AuditEvent['fields']): AuditEvent['fields'] {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
