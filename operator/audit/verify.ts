import { createHash } from 'node:crypto'
import { AUDIT_DATASET, type ChainEnd, type ChainedRecord, GENESIS, hashOf } from './record.ts'

/** A place where a chain does not hold. */
export interface BrokenLink {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** Undefined: the line cannot be read. */
  readonly sequence: number | undefined
  /** What is wrong, for people. */
  readonly reason: string
}

/** A chain, as far as it was there to be looked at. */
export interface VerifiedChain {
  readonly chain: string
  readonly records: number
  /** Of its first record. More than 1: those before are in files that were not looked at, or are gone. */
  readonly from: number
  readonly end: ChainEnd
  /** Events of which the operator itself says that it could not write them. */
  readonly lost: number
  /** Records that were cut when the operator was killed, as the record behind each says. */
  readonly cuts: number
  /** Whether its last record says that the operator ended. If not it goes on, or records at its end are gone: nothing here tells which. */
  readonly isEnded: boolean
}

export interface Verification {
  readonly chains: readonly VerifiedChain[]
  /** In their order; empty: everything holds. */
  readonly broken: readonly BrokenLink[]
  /** How many there are: no more than {@link MAX_BROKEN} are told of. */
  readonly brokenCount: number
  /** A last record that is not there to its end: the operator was killed while it wrote it, and was not started again since. */
  readonly cutAtEnd?: { readonly file: string; readonly line: number; readonly bytes: number }
  /** Anchors whose records are before the first one of their chain that was looked at. */
  readonly unseenAnchors: readonly Anchor[]
}

/** A record that is known to have been written, because somebody kept its number and hash elsewhere. */
export interface Anchor {
  readonly sequence: number
  readonly hash: string
}

/** One line as it stands in a file. */
export interface Line {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** Without its newline. */
  readonly bytes: Buffer
  /** It has a newline. */
  readonly isWhole: boolean
}

export interface VerifierOptions {
  /** Lines that are no records are passed over: a log of the operator has others too. Default: there is nothing else in a file. */
  readonly isMixed?: boolean
  readonly anchors?: readonly Anchor[]
}

/** Looks at records one after the other, in the order in which they were written. */
export interface Verifier {
  add(line: Line): void
  result(): Verification
}

export const MAX_BROKEN = 50

interface Chain {
  readonly from: number
  records: number
  lost: number
  cuts: number
  sequence: number
  hash: string
  isEnded: boolean
  /** Lines since then that are none of its records, and in whose places some may have been. */
  strangers: number
}

/**
 * Whether every record is as it was written, and none was taken out, put in or moved. That records at the end of a chain are gone
 * only an {@link Anchor} tells: whoever can write the file can also make it shorter.
 */
export function createVerifier({ isMixed = false, anchors = [] }: VerifierOptions = {}): Verifier {
  const chains = new Map<string, Chain>()
  const broken: BrokenLink[] = []
  let brokenCount = 0
  const met = new Set<Anchor>()
  /** Lines that cannot be read, since the last record. */
  let unread: Line[] = []
  let current: Chain | undefined

  const breaks = ({ file, line }: Line, sequence: number | undefined, reason: string): void => {
    brokenCount += 1
    if (broken.length < MAX_BROKEN) broken.push({ file, line, sequence, reason })
  }

  const judgeUnread = (next?: { readonly record: ChainedRecord; readonly line: Line }): void => {
    const said = next?.record['hauberk.audit.cut_sha256']
    const found = unread.length === 0 ? undefined : sha256Of(unread.map(({ bytes }) => bytes))
    // What was cut never came into a log that was printed.
    const isTold = found === said || (found === undefined && isMixed)
    if (isTold) {
      if (said !== undefined && current !== undefined) current.cuts += 1
    } else {
      for (const line of unread) breaks(line, undefined, 'it is no record: it was changed, or put in')
      if (current !== undefined) current.strangers += unread.length
      if (next !== undefined && said !== undefined) {
        const reason = 'it tells of a record before it that was cut, and what stands there is something else'
        breaks(next.line, next.record['event.sequence'], reason)
      }
    }
    unread = []
  }

  const judge = (record: ChainedRecord, line: Line): void => {
    const { 'hauberk.audit.chain': name, 'event.sequence': sequence, 'event.hash': hash } = record
    if (hashOf(record) !== hash || !isAsWritten(record, line.bytes)) {
      breaks(line, sequence, 'its hash is that of another record: it was changed')
      if (current !== undefined) current.strangers += 1
      return
    }
    const known = chains.get(name)
    if (known === undefined) {
      if (sequence === 1 && record['hauberk.audit.previous'] !== GENESIS) {
        breaks(line, sequence, 'it is the first of its chain, and follows another record')
      }
    } else {
      const gap = sequence - known.sequence - 1
      if (gap < 0) return breaks(line, sequence, `record ${known.sequence} stands before it: it was put in, or moved`)
      if (gap > known.strangers) {
        breaks(line, sequence, `${recordsBetween(known.sequence + 1, sequence - 1)} missing before it`)
      } else if (gap === 0 && record['hauberk.audit.previous'] !== known.hash) {
        const reason = `it does not follow the record ${known.sequence} that stands before it: one of both was replaced`
        breaks(line, sequence, reason)
      }
    }
    const lost = record['hauberk.audit.lost']
    current = {
      from: known?.from ?? sequence,
      records: (known?.records ?? 0) + 1,
      lost: (known?.lost ?? 0) + (typeof lost === 'number' ? lost : 0),
      cuts: known?.cuts ?? 0,
      sequence,
      hash,
      isEnded: record['event.action'] === 'audit-ended',
      strangers: 0,
    }
    chains.set(name, current)
    for (const anchor of anchors) if (anchor.sequence === sequence && anchor.hash === hash) met.add(anchor)
  }

  const judgeEnd = (): Verification['cutAtEnd'] => {
    const [line, ...more] = unread
    if (line === undefined || more.length > 0 || line.isWhole || !isCut(line.bytes.toString(), current)) {
      judgeUnread()
      return undefined
    }
    return { file: line.file, line: line.line, bytes: line.bytes.length }
  }

  const judgeAnchors = (): readonly Anchor[] => {
    const all = [...chains.values()]
    return anchors.filter((anchor) => {
      if (met.has(anchor)) return false
      if (all.some(({ from }) => anchor.sequence < from)) return true
      const longest = Math.max(0, ...all.map(({ sequence }) => sequence))
      const reason =
        longest < anchor.sequence
          ? `${recordsBetween(longest + 1, anchor.sequence)} missing at the end: record ${anchor.sequence} is known to have been written`
          : `record ${anchor.sequence} is not the one that is known to have been written`
      breaks({ file: '', line: 0, bytes: Buffer.alloc(0), isWhole: true }, anchor.sequence, reason)
      return false
    })
  }

  return {
    add(line) {
      const record = readRecord(line.bytes.toString())
      if (record === undefined && isMixed) return
      if (record === undefined || record === 'unreadable') {
        unread.push(line)
        return
      }
      current = chains.get(record['hauberk.audit.chain']) ?? current
      judgeUnread({ record, line })
      judge(record, line)
    },
    result() {
      const cutAtEnd = judgeEnd()
      const unseenAnchors = judgeAnchors()
      return {
        chains: [...chains].map(([chain, { strangers: _, hash, sequence, ...found }]) => ({
          chain,
          ...found,
          end: { chain, sequence, hash },
        })),
        broken,
        brokenCount,
        ...(cutAtEnd && { cutAtEnd }),
        unseenAnchors,
      }
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
    Number(record['event.sequence']) > 0 &&
    typeof record['hauberk.audit.previous'] === 'string' &&
    typeof record['event.hash'] === 'string'
  return isWhole ? (record as ChainedRecord) : 'unreadable'
}

/** Members twice, other blanks or escapes: the same values for us, and something else for another reader. */
function isAsWritten(record: ChainedRecord, bytes: Buffer): boolean {
  return Buffer.from(JSON.stringify(record)).equals(bytes)
}

/**
 * Whether a record can have been cut here: it is the beginning of one, of the one that comes next as far as it says, and not more than
 * one. What else has no newline was changed.
 */
function isCut(text: string, chain: Chain | undefined): boolean {
  if (!RECORD_START.startsWith(text.slice(0, RECORD_START.length)) || isClosed(text)) return false
  const sequence = /"event\.sequence":(\d+),/.exec(text)?.[1]
  const previous = /"hauberk\.audit\.previous":"([^"]*)"/.exec(text)?.[1]
  if (chain === undefined) return true
  const isNext = sequence === undefined || Number(sequence) === chain.sequence + 1
  return isNext && (previous === undefined || previous === chain.hash)
}

const RECORD_START = '{"@timestamp":"'

/** Whether the object that a text begins with ends in it. */
function isClosed(text: string): boolean {
  let depth = 0
  let isInString = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (isInString) {
      if (char === '\\') i += 1
      else if (char === '"') isInString = false
    } else if (char === '"') isInString = true
    else if (char === '{') depth += 1
    else if (char === '}') {
      depth -= 1
      if (depth === 0) return true
    }
  }
  return false
}

function sha256Of(lines: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const [i, bytes] of lines.entries()) hash.update(i === 0 ? '' : '\n').update(bytes)
  return hash.digest('hex')
}

function recordsBetween(first: number, last: number): string {
  return first === last ? `record ${first} is` : `records ${first} to ${last} are`
}

/** Where a chain ends, as text that is told and typed: `12:9f86d0…`. */
export function formatAnchor({ sequence, hash }: Anchor): string {
  return `${sequence}:${hash}`
}

export function parseAnchor(text: string): Anchor | undefined {
  const found = /^([1-9]\d{0,15}):([0-9a-f]{64})$/.exec(text)
  return found === null ? undefined : { sequence: Number(found[1]), hash: found[2] ?? '' }
}
