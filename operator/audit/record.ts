import { createHash } from 'node:crypto'
import { canonicalJson } from '../../contract/codec.ts'
import type { AuditAction, AuditEvent, AuditValue } from './audit.ts'

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
  readonly 'event.action': string
  readonly 'event.sequence': number
  readonly 'event.hash': string
  readonly 'hauberk.audit.chain': string
  readonly 'hauberk.audit.previous': string
  readonly [field: string]: unknown
}

/** A chain that begins now. */
export function newChain(name: string, nowMs: number): ChainEnd {
  return { chain: `${name}@${new Date(nowMs).toISOString()}`, sequence: 0, hash: GENESIS }
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
    'service.name': 'hauberk-operator',
    'event.dataset': AUDIT_DATASET,
    'event.kind': 'event',
    ...CLASSES[action],
    'event.action': action,
    'event.sequence': end.sequence + 1,
    'hauberk.audit.chain': end.chain,
    'hauberk.audit.previous': end.hash,
    ...bounded(fields),
  } as const
  return { ...record, 'event.hash': hashOf(record) }
}

/** Where a chain ends with this record. */
export function endWith(record: ChainedRecord): ChainEnd {
  return {
    chain: record['hauberk.audit.chain'],
    sequence: record['event.sequence'],
    hash: record['event.hash'],
  }
}

/** Of a record, whether or not it has one already. */
export function hashOf(record: Readonly<Record<string, unknown>>): string {
  const { 'event.hash': _, ...rest } = record
  return createHash('sha256').update(canonicalJson(rest)).digest('hex')
}

/** `event.category`, `event.type` and `event.outcome` of ECS. */
interface EventClass {
  readonly 'event.category': readonly string[]
  readonly 'event.type': readonly string[]
  readonly 'event.outcome': 'success' | 'failure'
}

const CLASSES: Readonly<Record<AuditAction, EventClass>> = {
  'audit-started': classOf('process', 'start'),
  'audit-ended': classOf('process', 'end'),
  'policy-created': classOf('configuration', 'creation'),
  'policy-changed': classOf('configuration', 'change'),
  'policy-deleted': classOf('configuration', 'deletion'),
  'policy-admitted': classOf('configuration', 'access'),
  'policy-refused': { ...classOf('configuration', 'access'), 'event.outcome': 'failure' },
  'certificate-issued': classOf('iam', 'creation'),
  'token-issued': classOf('iam', 'creation'),
  'key-created': classOf('iam', 'creation'),
  'issuer-keys-changed': classOf('iam', 'change'),
  'root-distributing': classOf('iam', 'change'),
  'root-signing': classOf('iam', 'change'),
  'root-retiring': classOf('iam', 'change'),
  'root-rotated': classOf('iam', 'change'),
  'root-distrusted': classOf('iam', 'change'),
}

function classOf(category: string, type: string): EventClass {
  return { 'event.category': [category], 'event.type': [type], 'event.outcome': 'success' }
}

/** Characters of a text, and texts of a list: much of what is told of came from somebody else. */
const MAX_TEXT = 512
const MAX_LISTED = 32

function bounded(fields: AuditEvent['fields']): Readonly<Record<string, AuditValue>> {
  const kept: Record<string, AuditValue> = {}
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = boundedValue(value)
  return kept
}

function boundedValue(value: NonNullable<AuditValue>): AuditValue {
  if (typeof value === 'string') return value.slice(0, MAX_TEXT)
  if (typeof value === 'object') return value.slice(0, MAX_LISTED).map((each) => each.slice(0, MAX_TEXT))
  return value
}
