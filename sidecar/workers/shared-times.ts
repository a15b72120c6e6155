import { hash, randomBytes } from 'node:crypto'
import { endianness } from 'node:os'
import type { SharedTimes } from '../../model/filter.ts'

/**
 * Names that all limits of a pod remember at once. Beyond it those go first that matter least: whose time is over, else
 * whose is over soonest (T27). 12 MiB, of which pages that nobody has used cost nothing.
 */
export const MAX_CELLS = 524_288

/** Cells that are looked at for one name. */
const WINDOW = 32

/** A cell: its tag (64 bits), the second in which it becomes idle (32 bits, and 32 unused), and the time (64 bits). */
const CELL_WORDS = 6
const CELL_LONGS = 3
const IDLE_AT = 2
const TIME = 2
/** The halves of a tag. */
const [LOW, HIGH] = endianness() === 'LE' ? [0, 1] : [1, 0]

/** No tag is one of these: the higher half of a tag is never 0. */
const FREE = 0n
const BUSY = 1n

/** How often a cell that is being given to another name is asked about again; it takes some ten instructions. */
const MAX_SPINS = 10_000

/** What is handed to every worker: it can be posted. */
export interface SharedTimesMemory {
  readonly buffer: SharedArrayBuffer
  /** Makes it unknowable from outside where the cell of a name is. */
  readonly seed: string
}

export function createSharedTimesMemory(cells: number = MAX_CELLS): SharedTimesMemory {
  if (!Number.isInteger(Math.log2(cells)) || cells < WINDOW) throw new Error('the number of cells is no power of two')
  return {
    buffer: new SharedArrayBuffer(cells * CELL_WORDS * Int32Array.BYTES_PER_ELEMENT),
    seed: randomBytes(16).toString('latin1'),
  }
}

/**
 * A hash table with open addressing, over memory that threads share, without a lock: a thread that is ended in the middle of
 * anything leaves nothing behind that others would wait for.
 *
 * A name is known by 63 bits of a SHA-256 with a secret seed, and by where it is looked for. Cells are never freed, but given
 * away, so a name is in the first cell of its window that was free when it came, or not there.
 *
 * While a window has cells that are free or idle, no time is lost or counted for another name. Up to four names to ten cells,
 * of those that matter at once, none had to be forgotten.
 */
export function openSharedTimes({ buffer, seed }: SharedTimesMemory): (name: string) => SharedTimes {
  const words = new Int32Array(buffer)
  const longs = new BigInt64Array(buffer)
  const mask = words.length / CELL_WORDS - 1

  /** Whether it has a name; waits where somebody is giving it one. */
  const isNamed = (cell: number): boolean => {
    for (let spins = 0; spins < MAX_SPINS; spins++) {
      if (Atomics.load(words, cell * CELL_WORDS + HIGH) !== 0) return true
      if (Atomics.load(words, cell * CELL_WORDS + LOW) === 0) return false
    }
    return true
  }

  return (name) => {
    const prefix = `${seed}${name.length} ${name}`
    // Of the key that was asked for last, so that to set its time does not search again.
    let key: string | undefined
    let cell = 0
    let start = 0
    let low = 0
    let high = 0
    let hasForgotten = false

    const isOurs = (at: number): boolean =>
      Atomics.load(words, at * CELL_WORDS + LOW) === low && Atomics.load(words, at * CELL_WORDS + HIGH) === high

    /** The cell of the key; else a free one, or the one that matters least. */
    const search = (): number => {
      let least = start
      let soonest = Number.POSITIVE_INFINITY
      for (let i = 0; i < WINDOW; i++) {
        const at = (start + i) & mask
        // Asked again, for it may have been given this key meanwhile.
        if (isOurs(at) || !isNamed(at) || isOurs(at)) return at
        const idleAt = Atomics.load(words, at * CELL_WORDS + IDLE_AT)
        if (idleAt >= soonest) continue
        least = at
        soonest = idleAt
      }
      return least
    }

    const find = (wanted: string, nowMs: number): void => {
      if (wanted !== key) {
        const digest = hash('sha256', `${prefix}${wanted}`, 'binary')
        start = word(digest, 0) & mask
        low = word(digest, 4)
        high = word(digest, 8) | 0x4000_0000
        key = wanted
        cell = start
      }
      const tag = () => (BigInt(high) << 32n) | BigInt(low >>> 0)
      while (!isOurs(cell)) {
        cell = search()
        const was = Atomics.load(longs, cell * CELL_LONGS)
        const idleAt = Atomics.load(words, cell * CELL_WORDS + IDLE_AT)
        if (was === tag()) return
        // Who was ended while giving a cell away has left it busy: then it is anybody's.
        const next = was === FREE ? tag() : BUSY
        if (Atomics.compareExchange(longs, cell * CELL_LONGS, was, next) !== was || was === FREE) continue
        if (idleAt > nowMs / 1_000) hasForgotten = true
        Atomics.store(longs, cell * CELL_LONGS + TIME, 0n)
        Atomics.store(words, cell * CELL_WORDS + IDLE_AT, Math.ceil(nowMs / 1_000))
        Atomics.store(longs, cell * CELL_LONGS, tag())
      }
    }

    return {
      get(wanted, nowMs) {
        find(wanted, nowMs)
        const time = Atomics.load(longs, cell * CELL_LONGS + TIME)
        return time === 0n ? undefined : Number(time)
      },
      set(wanted, time, before, idleAtMs) {
        find(wanted, idleAtMs)
        const was = BigInt(before ?? 0)
        if (Atomics.compareExchange(longs, cell * CELL_LONGS + TIME, was, BigInt(time)) !== was) return 'moved'
        Atomics.store(words, cell * CELL_WORDS + IDLE_AT, Math.ceil(idleAtMs / 1_000))
        if (!hasForgotten) return 'set'
        hasForgotten = false
        return 'forgot'
      },
      subtract(wanted, amount, nowMs) {
        find(wanted, nowMs)
        Atomics.sub(longs, cell * CELL_LONGS + TIME, BigInt(amount))
      },
    }
  }
}

/** Four characters of a latin1 digest as a number of 32 bits. */
function word(digest: string, at: number): number {
  return (
    digest.charCodeAt(at) |
    (digest.charCodeAt(at + 1) << 8) |
    (digest.charCodeAt(at + 2) << 16) |
    (digest.charCodeAt(at + 3) << 24)
  )
}
