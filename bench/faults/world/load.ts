import { Agent, type IncomingMessage, request } from 'node:http'

/** What became of the requests of some time. `sent` is `ok` plus all that were lost, once all have come back. */
export interface Count {
  readonly sent: number
  readonly ok: number
  /** By reason. */
  readonly lost: ReadonlyMap<string, number>
  /** Milliseconds from when a request was due to the end of its answer, in ascending order. Of those that were answered 200. */
  readonly latenciesMs: readonly number[]
}

export interface LoadOptions {
  /** Ports of loopback that requests go to in turn: who may be asked at that moment. */
  targets(): readonly number[]
  readonly perSecond: number
  readonly path: string
  readonly headers?: () => Readonly<Record<string, string>>
}

/**
 * Honest clients: begun at a fixed rate however long each takes, on kept connections. What is lost is an error that a client
 * sees who did nothing wrong.
 *
 * As browsers and every usual library do, a GET that meets the end of a kept connection before a byte of its answer came is
 * sent once more on a new one (RFC 9110, 9.2.2).
 */
export interface Load {
  /** Counts from now on. The result waits for what is under way. */
  window(): { end(): Promise<Count> }
  stop(): Promise<Count>
}

const TICK_MS = 10

/** Milliseconds until the full rate: nobody's clients all come at once. */
const RAMP_MS = 2_000
const TIMEOUT_MS = 10_000

interface Tally {
  sent: number
  ok: number
  settled: number
  readonly lost: Map<string, number>
  readonly latenciesMs: number[]
}

export function startLoad({ targets, perSecond, path, headers }: LoadOptions): Load {
  const kept = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  const tallies = new Set<Tally>()
  const startedMs = performance.now()
  let begun = 0
  let turn = 0

  const ask = (port: number, agent: Agent | false): Promise<number> =>
    new Promise((resolve, reject) => {
      const asking = request({ host: '127.0.0.1', port, path, agent, headers: headers?.() ?? {}, timeout: TIMEOUT_MS })
      asking.on('timeout', () => asking.destroy(new Error('timeout')))
      asking.on('error', (error) => reject(Object.assign(error, { isStale: asking.reusedSocket })))
      asking.on('response', (response) => readWhole(response).then(() => resolve(response.statusCode ?? 0), reject))
      asking.end()
    })
  const send = async (dueMs: number) => {
    const concerned = [...tallies]
    for (const tally of concerned) tally.sent += 1
    const ports = targets()
    const port = ports[turn++ % ports.length] ?? 0
    const outcome = await ask(port, kept)
      .catch((error: Error & { isStale?: boolean }) => {
        if (error.isStale !== true || error.message === 'timeout') throw error
        return ask(targets()[turn++ % targets().length] ?? 0, false)
      })
      .catch((error: NodeJS.ErrnoException) => error.code ?? error.message)
    const tookMs = performance.now() - dueMs
    for (const tally of concerned) {
      tally.settled += 1
      if (outcome === 200) {
        tally.ok += 1
        tally.latenciesMs.push(tookMs)
      } else {
        const why = String(outcome)
        tally.lost.set(why, (tally.lost.get(why) ?? 0) + 1)
      }
    }
  }
  const timer = setInterval(() => {
    const nowMs = performance.now()
    const elapsedMs = nowMs - startedMs
    const atRateMs = elapsedMs < RAMP_MS ? elapsedMs ** 2 / (2 * RAMP_MS) : elapsedMs - RAMP_MS / 2
    const due = Math.floor((atRateMs * perSecond) / 1_000)
    // Those that are due by now were due evenly since the last tick.
    const count = due - begun
    for (let i = 0; i < count; i++) void send(nowMs - ((count - 1 - i) * 1_000) / perSecond)
    begun = due
  }, TICK_MS)

  const window = () => {
    const tally: Tally = { sent: 0, ok: 0, settled: 0, lost: new Map(), latenciesMs: [] }
    tallies.add(tally)
    return {
      async end(): Promise<Count> {
        tallies.delete(tally)
        while (tally.settled < tally.sent) await new Promise((resolve) => setTimeout(resolve, TICK_MS))
        tally.latenciesMs.sort((a, b) => a - b)
        return tally
      },
    }
  }
  const all = window()
  return {
    window,
    async stop() {
      clearInterval(timer)
      const count = await all.end()
      kept.destroy()
      return count
    },
  }
}

async function readWhole(response: IncomingMessage): Promise<void> {
  for await (const _ of response);
  if (!response.complete) throw new Error('truncated')
}

/** The value below which `share` of them are; 0 of none. */
export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? 0
}

/** What was lost, for a person: `12 of 3,000 (ECONNRESET 10, 503 2)`. */
export function tell({ sent, ok, lost }: Count): string {
  const why = [...lost].map(([reason, count]) => `${reason} ${count}`).join(', ')
  return `${sent - ok} of ${sent} lost${why === '' ? '' : ` (${why})`}`
}

/** Throws when anything was lost, or too little was asked for it to mean something. */
export function assertNothingLost(count: Count, atLeast: number): void {
  if (count.ok < count.sent) throw new Error(tell(count))
  if (count.sent < atLeast) throw new Error(`${count.sent} requests were sent, and ${atLeast} should have been`)
}
