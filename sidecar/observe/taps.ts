import { type SpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { ConnectionRecord, RequestRecord } from '../serve/observation.ts'
import { connectionLine, requestLine } from './decision-log.ts'
import { createPseudonyms } from './pseudonym.ts'

/** Taps that are open at once; one more is refused. */
export const MAX_TAPS = 8

/** Characters that wait for a reader. Lines that come while as many wait are lost, and told of as a number. */
export const MAX_WAITING = 262_144

/** Decisions of one second that a tap may ask for. */
export const MAX_RATE = 1_000

/** Milliseconds after which a reader hears that the tap is still there. */
const SIGN_OF_LIFE_MS = 5_000

/** Characters of a filter's words. */
const MAX_WORD = 2_048

/** Which decisions somebody wants to see as they are made. It can be posted to another thread. */
export interface TapFilter {
  /** SPIFFE ID, service account (`namespace/name`), or IP address of the caller; `outside`: whoever has shown no certificate of the mesh. */
  readonly from?: string
  /** What the path begins with. */
  readonly path?: string
  readonly method?: string
  /** Refusals, and what a dry run would have refused. */
  readonly isDenied: boolean
  /** Decisions of one second at most; what is beyond is told of as a number. */
  readonly maxPerSecond: number
}

/** A tap of any thread. */
export interface OpenTap {
  readonly id: number
  readonly filter: TapFilter
}

/** Lines of the decision log as they would be written, and how many there were besides. */
export interface Tapped {
  readonly id: number
  /** JSON, without a line's end. */
  readonly lines: readonly string[]
  readonly lost: number
}

/** Shows decisions to whoever watches. While nobody does it costs a comparison. */
export interface Taps {
  request(record: RequestRecord): void
  connection(record: ConnectionRecord): void
  /** Undefined: as many are open already. The lines end with `signal`, each with a line's end. */
  open(filter: TapFilter, signal: AbortSignal): AsyncIterable<string> | undefined
  /** The taps that are open, wherever they were opened: another thread's. */
  follow(taps: readonly OpenTap[]): void
  /** What another thread has seen. */
  add(tapped: Tapped): void
  opened(): readonly OpenTap[]
}

interface Tap extends OpenTap {
  /** What is beyond the rate. */
  lost: number
  left: number
  secondMs: number
  take(lines: readonly string[], lost: number): void
}

export interface TapsOptions {
  /** `namespace/name`. */
  readonly workload: string
  readonly clock: Clock
  /** Of a thread whose taps are read elsewhere. */
  readonly tell?: (tapped: Tapped) => void
  /** Other threads are to follow. */
  readonly onChange?: () => void
}

export function createTaps({ workload, clock, tell, onChange }: TapsOptions): Taps {
  let taps: ReadonlyMap<number, Tap> = new Map()
  let lastId = 0
  const pseudonyms = createPseudonyms()

  const newTap = (id: number, filter: TapFilter, take: Tap['take']): Tap => {
    return { id, filter, take, lost: 0, left: filter.maxPerSecond, secondMs: clock.monotonic() }
  }
  const mayTake = (tap: Tap): boolean => {
    const nowMs = clock.monotonic()
    if (nowMs - tap.secondMs >= 1_000) {
      tap.secondMs = nowMs
      tap.left = tap.filter.maxPerSecond
    }
    if (tap.left > 0) {
      tap.left--
      return true
    }
    tap.lost++
    return false
  }
  const show = (tap: Tap, line: string): void => {
    const { lost } = tap
    tap.lost = 0
    tap.take([line], lost)
  }

  return {
    request(record) {
      if (taps.size === 0) return
      let line: string | undefined
      for (const tap of taps.values()) {
        if (!wants(tap.filter, record) || !mayTake(tap)) continue
        line ??= JSON.stringify(requestLine(record, workload, pseudonyms))
        show(tap, line)
      }
    },
    connection(record) {
      if (taps.size === 0) return
      let line: string | undefined
      for (const tap of taps.values()) {
        if (!wants(tap.filter, record) || !mayTake(tap)) continue
        line ??= JSON.stringify(connectionLine(record, workload))
        show(tap, line)
      }
    },
    open(filter, signal) {
      if (taps.size >= MAX_TAPS) return undefined
      const id = ++lastId
      // What is beyond the rate is told of even where nothing follows.
      const beyond = (): number => {
        const tap = taps.get(id)
        const lost = tap?.lost ?? 0
        if (tap !== undefined) tap.lost = 0
        return lost
      }
      const reader = new Reader(clock, signal, beyond)
      taps = new Map(taps).set(
        id,
        newTap(id, filter, (lines, lost) => reader.take(lines, lost)),
      )
      onChange?.()
      reader.whenOver = () => {
        taps = new Map([...taps].filter(([known]) => known !== id))
        onChange?.()
      }
      return reader.lines()
    },
    follow(open) {
      taps = new Map(
        open.map(({ id, filter }) => [
          id,
          taps.get(id) ?? newTap(id, filter, (lines, lost) => tell?.({ id, lines, lost })),
        ]),
      )
    },
    add({ id, lines, lost }) {
      const tap = taps.get(id)
      if (tap === undefined) return
      tap.lost += lost
      for (const line of lines) if (mayTake(tap)) show(tap, line)
    },
    opened: () => [...taps.values()].map(({ id, filter }) => ({ id, filter })),
  }
}

/** Holds lines until they are read. */
class Reader {
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #beyond: () => number
  #waiting: string[] = []
  #characters = 0
  #lost = 0
  #wake: (() => void) | undefined
  whenOver: (() => void) | undefined

  constructor(clock: Clock, signal: AbortSignal, beyond: () => number) {
    this.#beyond = beyond
    this.#clock = clock
    this.#signal = signal
    // Also of a reader that never began to read.
    signal.addEventListener('abort', () => this.#end(), { once: true })
  }

  take(lines: readonly string[], lost: number): void {
    this.#lost += lost
    for (const line of lines) {
      if (this.#characters + line.length > MAX_WAITING) {
        this.#lost++
        continue
      }
      this.#characters += line.length
      this.#waiting.push(line)
    }
    this.#wake?.()
  }

  async *lines(): AsyncGenerator<string> {
    try {
      while (!this.#signal.aborted) {
        if (this.#waiting.length === 0 && this.#lost === 0) await this.#something()
        if (this.#signal.aborted) return
        const waiting = this.#waiting
        const lost = this.#lost + this.#beyond()
        this.#waiting = []
        this.#characters = 0
        this.#lost = 0
        const told = lost === 0 ? '' : `${JSON.stringify({ message: LOST, 'hauberk.lost': lost })}\n`
        // An empty line says that somebody is still there.
        yield waiting.length === 0 && lost === 0 ? '\n' : `${told}${waiting.map((line) => `${line}\n`).join('')}`
      }
    } finally {
      this.#end()
    }
  }

  #end(): void {
    this.whenOver?.()
    this.whenOver = undefined
    this.#wake?.()
  }

  async #something(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const cancel = this.#clock.setTimer(SIGN_OF_LIFE_MS, resolve, { keepAlive: false })
    await promise
    cancel()
    this.#wake = undefined
  }
}

/** `message` of the line that says how many decisions are not shown. */
const LOST = 'lost'

function wants(filter: TapFilter, record: RequestRecord | ConnectionRecord): boolean {
  const { from, path, method, isDenied } = filter
  if (isDenied && record.refusal === undefined && record.wouldDeny === undefined) return false
  if (from !== undefined && !isFrom(from, record)) return false
  if (path === undefined && method === undefined) return true
  if (!('path' in record)) return false
  return (path === undefined || record.path.startsWith(path)) && (method === undefined || record.method === method)
}

function isFrom(from: string, { spiffeId, clientIp, direction }: RequestRecord | ConnectionRecord): boolean {
  if (from === 'outside') return spiffeId === undefined && direction !== 'outbound'
  if (spiffeId === undefined) return from === clientIp && direction !== 'outbound'
  if (from === spiffeId) return true
  const account = serviceAccountOf(spiffeId as SpiffeId)
  return account !== undefined && from === `${account.namespace}/${account.serviceAccount}`
}

/** Reads what an admin route is asked for; undefined for what is none. */
export function readTapFilter(query: URLSearchParams): TapFilter | undefined {
  const known = ['from', 'path', 'method', 'denied', 'rate']
  if ([...query].some(([name, value]) => !known.includes(name) || value.length > MAX_WORD)) return undefined
  const rate = Number(query.get('rate') ?? '100')
  if (!Number.isInteger(rate) || rate < 1 || rate > MAX_RATE) return undefined
  const [from, path, method] = [query.get('from'), query.get('path'), query.get('method')]
  return {
    ...(from !== null && { from }),
    ...(path !== null && { path }),
    ...(method !== null && { method }),
    isDenied: query.get('denied') === 'true',
    maxPerSecond: rate,
  }
}
