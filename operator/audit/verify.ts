import { AUDIT_DATASET, type ChainEnd, type ChainedRecord, GENESIS, hashOf } from './record.ts'

/** The first place where a chain does not hold. */
export interface BrokenLink {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** Undefined: the line cannot be read. */
  readonly chain: string | undefined
  readonly sequence: number | undefined
  /** What is wrong, for people. */
  readonly reason: string
}

/** A chain that holds, as far as it was there to be looked at. */
export interface VerifiedChain {
  readonly chain: string
  readonly records: number
  /** Of its first record. More than 1: those before are in files that were not looked at, or are gone. */
  readonly from: number
  readonly end: ChainEnd
  /** Events of which the operator itself says that it could not write them. */
  readonly lost: number
}

export type Verification =
  | { readonly ok: true; readonly chains: readonly VerifiedChain[] }
  | { readonly ok: false; readonly broken: BrokenLink }

/** Looks at records one after the other, in the order in which they were written. */
export interface Verifier {
  /** False: a link is broken, and no more is looked at. */
  add(file: string, line: number, text: string): boolean
  result(): Verification
}

/**
 * Whether every record is as it was written, and none was taken out, put in or moved. Lines that are no records are passed over:
 * a log holds others too. What the end of a chain does not tell is whether there were more records behind it.
 */
export function createVerifier(): Verifier {
  const chains = new Map<string, { readonly from: number; records: number; lost: number; end: ChainEnd }>()
  let broken: BrokenLink | undefined

  const judge = (record: ChainedRecord): string | undefined => {
    const {
      'hauberk.audit.chain': chain,
      'event.sequence': sequence,
      'hauberk.audit.previous': previous,
      'event.hash': hash,
    } = record
    if (hashOf(record) !== hash) return 'its hash is that of another record: it was changed'
    const known = chains.get(chain)
    if (known === undefined) {
      if (sequence === 1 && previous !== GENESIS) return 'it is the first of its chain, and follows another record'
    } else if (sequence !== known.end.sequence + 1) {
      return known.end.sequence >= sequence
        ? `record ${known.end.sequence} stands before it: it was put in, or moved`
        : `records ${known.end.sequence + 1} to ${sequence - 1} are missing before it`
    } else if (previous !== known.end.hash) {
      return `it does not follow the record ${known.end.sequence} that stands before it: one of both was replaced`
    }
    const lost = typeof record['hauberk.audit.lost'] === 'number' ? record['hauberk.audit.lost'] : 0
    chains.set(chain, {
      from: known?.from ?? sequence,
      records: (known?.records ?? 0) + 1,
      lost: (known?.lost ?? 0) + lost,
      end: { chain, sequence, hash },
    })
    return undefined
  }

  return {
    add(file, line, text) {
      if (broken !== undefined) return false
      const record = readRecord(text)
      if (record === undefined) return true
      if (record === 'unreadable') {
        broken = { file, line, chain: undefined, sequence: undefined, reason: 'it is a part of a record, or of none' }
        return false
      }
      const reason = judge(record)
      if (reason === undefined) return true
      const { 'hauberk.audit.chain': chain, 'event.sequence': sequence } = record
      broken = { file, line, chain, sequence, reason }
      return false
    },
    result() {
      if (broken !== undefined) return { ok: false, broken }
      return { ok: true, chains: [...chains].map(([chain, found]) => ({ chain, ...found })) }
    },
  }
}

/** A record of a line; undefined: the line is something else. `unreadable`: it speaks of the audit log and is no record. */
export function readRecord(text: string): ChainedRecord | 'unreadable' | undefined {
  if (!text.includes(AUDIT_DATASET)) return undefined
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return 'unreadable'
  }
  if (typeof found !== 'object' || found === null) return 'unreadable'
  const record = found as Readonly<Record<string, unknown>>
  // Another line of the log may speak of the audit log.
  if (record['event.dataset'] !== AUDIT_DATASET) return undefined
  const isWhole =
    typeof record['hauberk.audit.chain'] === 'string' &&
    Number.isSafeInteger(record['event.sequence']) &&
    typeof record['hauberk.audit.previous'] === 'string' &&
    typeof record['event.hash'] === 'string'
  return isWhole ? (record as ChainedRecord) : 'unreadable'
}
