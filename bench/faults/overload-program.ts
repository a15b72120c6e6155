/**
 * A process of `npm run faults`: puts load on a sidecar over mutual TLS, at a rate, however slowly it answers, or as much as
 * it answers. Reads what it is told from its one argument, and prints a line
 * when it begins to count, and what it has counted as a line of JSON.
 */
import { connect, type TLSSocket } from 'node:tls'

interface Given {
  readonly port: number
  readonly key: string
  readonly cert: string
  readonly alpn: string
  readonly connections: number
  /** Requests a second; absent: each connection asks again as soon as it is answered. */
  readonly perSecond?: number
  readonly forMs: number
}

const { port, key, cert, alpn, connections, perSecond, forMs } = JSON.parse(process.argv[2] ?? '') as Given
const REQUEST = 'GET / HTTP/1.1\r\nHost: app.faults\r\n\r\n'
const TICK_MS = 5
const SETTLE_MS = 2_000

/** Between two handshakes: what is overloaded here is not the door. */
const BETWEEN_MS = 20

const counts = { ok: 0, refused: 0, withoutRetryAfter: 0, other: {} as Record<string, number>, broken: 0, unsent: 0 }
let isCounting = false
const idle: Connection[] = []

class Connection {
  readonly socket: TLSSocket
  #received = ''

  constructor() {
    this.socket = connect({ host: '127.0.0.1', port, key, cert, rejectUnauthorized: false, ALPNProtocols: [alpn] })
    this.socket.once('secureConnect', () => {
      opened += 1
      if (opened === connections) start()
      this.#free()
    })
    this.socket.on('error', () => {})
    this.socket.once('close', () => {
      if (isCounting) counts.broken += 1
      const at = idle.indexOf(this)
      if (at !== -1) idle.splice(at, 1)
      setTimeout(() => new Connection(), 100)
    })
    this.socket.on('data', (chunk: Buffer) => this.#onData(chunk.toString('latin1')))
  }

  ask(): void {
    this.socket.write(REQUEST)
  }

  #onData(text: string): void {
    this.#received += text
    const headEnd = this.#received.indexOf('\r\n\r\n')
    if (headEnd === -1) return
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#received)?.[1] ?? 0)
    if (this.#received.length < headEnd + 4 + length) return
    const head = this.#received.slice(0, headEnd)
    this.#received = ''
    if (isCounting) count(head)
    this.#free()
  }

  #free(): void {
    if (perSecond === undefined) this.ask()
    else idle.push(this)
  }
}

function count(head: string): void {
  const status = Number(head.slice(9, 12))
  if (status === 200) counts.ok += 1
  else if (status === 503) {
    counts.refused += 1
    if (!/\r\nretry-after: \d/i.test(head)) counts.withoutRetryAfter += 1
  } else counts.other[status] = (counts.other[status] ?? 0) + 1
}

let startedMs = 0
let begun = 0
let opened = 0

/** All connections are there: counts after a while in which whatever is full fills up. */
function start(): void {
  startedMs = performance.now()
  if (perSecond !== undefined) setInterval(tick, TICK_MS)
  setTimeout(() => {
    isCounting = true
    process.stdout.write('counting\n')
  }, SETTLE_MS)
  setTimeout(() => process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit()), SETTLE_MS + forMs)
}

function tick(): void {
  const due = Math.floor(((performance.now() - startedMs) * (perSecond ?? 0)) / 1_000)
  for (; begun < due; begun++) {
    const connection = idle.pop()
    if (connection !== undefined) connection.ask()
    else if (isCounting) counts.unsent += 1
  }
}

for (let i = 0; i < connections; i++) setTimeout(() => new Connection(), i * BETWEEN_MS)
