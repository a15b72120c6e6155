// Asks one URL again and again on one connection, and prints a line whenever another status is answered than before: when, and
// which.
import { Agent, get } from 'node:http'

/** What it is told as its first argument, and what it prints, one a line. */
export interface FlipsRequest {
  readonly url: string
  /** Milliseconds from an answer to the next question. */
  readonly everyMs: number
  /** Milliseconds after which it ends. */
  readonly forMs: number
}
export interface Flip {
  /** Milliseconds since the epoch when the answer was there. */
  readonly timeMs: number
  readonly status: number
}

const { url, everyMs, forMs } = JSON.parse(process.argv.at(-1) ?? '') as FlipsRequest
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
let before: number | undefined

function ask(): void {
  const again = (status: number) => {
    if (status !== before) {
      before = status
      const flip: Flip = { timeMs: performance.timeOrigin + performance.now(), status }
      process.stdout.write(`${JSON.stringify(flip)}\n`)
    }
    setTimeout(ask, everyMs)
  }
  get(url, { agent }, (response) => {
    response.resume().once('end', () => again(response.statusCode ?? 0))
  }).once('error', () => again(0))
}

ask()
setTimeout(() => process.exit(0), forMs)
