// Asks one URL at a steady rate until its input ends, then prints what became of every request, as JSON. Like any honest
// client it keeps connections and drops those that nobody used for a while before the other side does.

import { once } from 'node:events'
import { Agent, get } from 'node:http'

/** What it is told as its first argument, and what it prints. */
export interface LoadRequest {
  readonly url: string
  readonly perSecond: number
  /** What is to be answered. Default: any 2xx. */
  readonly status?: number
}
export interface LoadResult {
  readonly sent: number
  readonly ok: number
  /** The first of them. */
  readonly lost: readonly { readonly timeMs: number; readonly why: string }[]
  readonly lostCount: number
  /** Milliseconds, of those that were answered. */
  readonly p50: number
  readonly p99: number
  readonly max: number
}

const MAX_LOST_TOLD = 20
const TIMEOUT_MS = 10_000

const { url, perSecond, status } = JSON.parse(process.argv.at(-1) ?? '') as LoadRequest
const agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 4_000, scheduling: 'fifo' })
const times: number[] = []
const lost: { timeMs: number; why: string }[] = []
let lostCount = 0
let sent = 0
let inFlight = 0
let wake = () => {}

function lose(timeMs: number, why: string): void {
  lostCount += 1
  if (lost.length < MAX_LOST_TOLD) lost.push({ timeMs, why })
}

function ask(): void {
  sent += 1
  inFlight += 1
  const timeMs = Date.now()
  const start = performance.now()
  let isOver = false
  const over = (why?: string) => {
    if (isOver) return
    isOver = true
    inFlight -= 1
    if (why === undefined) times.push(performance.now() - start)
    else lose(timeMs, why)
    wake()
  }
  const request = get(url, { agent }, (response) => {
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      if (body.length < 300) body += chunk
    })
    response.once('error', (error) => over(String(error)))
    response.once('end', () => {
      const { statusCode = 0 } = response
      const isOk = status === undefined ? statusCode >= 200 && statusCode < 300 : statusCode === status
      over(isOk ? undefined : `${statusCode} ${body}`)
    })
  })
  request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)))
  request.once('error', (error) => over(String(error)))
}

const start = performance.now()
let begun = 0
const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - start) / 1_000) * perSecond)
  // After a pause of its own it does not make up for all that it missed at once.
  for (let i = Math.min(due - begun, perSecond); i > 0; i--) ask()
  begun = due
}, 5)

process.stdin.resume()
await once(process.stdin, 'end')
clearInterval(timer)
while (inFlight > 0) {
  await new Promise<void>((resolve) => {
    wake = resolve
  })
}
agent.destroy()
times.sort((a, b) => a - b)
const at = (share: number) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0)
const result: LoadResult = { sent, ok: times.length, lost, lostCount, p50: at(0.5), p99: at(0.99), max: at(1) }
process.stdout.write(JSON.stringify(result))
