import type { Answer } from './answer.ts'
import type { Ask } from './gateway.ts'

/** A request that came to nothing: no answer, a reset, a timeout, or an answer that is not 2xx. */
export interface Loss {
  /** Milliseconds since the epoch when it was sent. */
  readonly timeMs: number
  readonly task: string
  readonly why: string
}

/** Every request that was sent in some time, and what became of it: `sent` is `ok` plus the losses, always. */
export interface LoadCount {
  readonly sent: number
  readonly ok: number
  readonly lost: readonly Loss[]
  readonly durationMs: number
}

type Send = (request: Ask) => Promise<Answer>

/** Something that is done again and again while the load runs. */
export interface LoadTask {
  readonly name: string
  /** Begun this often, however long it takes: what is slow does not make the load less. */
  readonly everyMs: number
  /** `send` throws for what was lost, and the task is over until its next time. */
  run(send: Send): Promise<void>
}

/** Honest clients that do nothing wrong: whatever is lost is the mesh's doing. It lasts minutes: every loss is kept. */
export interface Load {
  /** Since the start. */
  readonly total: LoadWindow
  /** Counts from now on. */
  window(): LoadWindow
  stop(): Promise<void>
}

export interface LoadWindow {
  readonly startedMs: number
  /** Counts no further, waits for what is under way, and tells. */
  end(): Promise<LoadCount>
}

export function startLoad(tasks: readonly LoadTask[], ask: Send): Load {
  const counts = new Set<Count>()
  const total = new Count()
  counts.add(total)

  const sender = (task: string): Send => {
    return async (request) => {
      const concerned = [...counts]
      const timeMs = Date.now()
      const what = `${request.method ?? 'GET'} ${request.path}`
      for (const count of concerned) count.sent += 1
      const outcome = await ask(request).catch((error: NodeJS.ErrnoException) => error)
      const isOk = !(outcome instanceof Error) && outcome.status >= 200 && outcome.status < 300
      const why = outcome instanceof Error ? (outcome.code ?? outcome.message) : `${outcome.status} ${outcome.body}`
      const loss = { timeMs, task, why: `${what}: ${why.slice(0, 300)}` }
      for (const count of concerned) count.settle(isOk ? undefined : loss)
      if (!isOk) throw new Error(loss.why)
      return outcome as Answer
    }
  }
  const timers = tasks.map(({ name, everyMs, run }) => {
    const send = sender(name)
    return setInterval(() => void run(send).catch(() => {}), everyMs)
  })

  return {
    total: windowOn(total, counts),
    window() {
      const count = new Count()
      counts.add(count)
      return windowOn(count, counts)
    },
    async stop() {
      for (const timer of timers) clearInterval(timer)
      await total.settled()
    },
  }
}

function windowOn(count: Count, counts: Set<Count>): LoadWindow {
  return {
    startedMs: count.startedMs,
    async end() {
      counts.delete(count)
      const durationMs = Date.now() - count.startedMs
      await count.settled()
      return { sent: count.sent, ok: count.ok, lost: count.lost, durationMs }
    },
  }
}

class Count {
  readonly startedMs = Date.now()
  sent = 0
  ok = 0
  readonly lost: Loss[] = []
  #waiting: (() => void)[] = []

  settle(loss: Loss | undefined): void {
    if (loss === undefined) this.ok += 1
    else this.lost.push(loss)
    if (!this.#isSettled) return
    for (const done of this.#waiting) done()
    this.#waiting = []
  }

  settled(): Promise<void> {
    return this.#isSettled ? Promise.resolve() : new Promise((done) => this.#waiting.push(done))
  }

  get #isSettled(): boolean {
    return this.sent === this.ok + this.lost.length
  }
}
