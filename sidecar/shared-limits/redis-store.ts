import { createHash } from 'node:crypto'
import type { ConnectionOptions } from 'node:tls'
import type { RedisClientOptions } from '@redis/client'
import { type Backoff, createBackoff } from '../../runtime/backoff.ts'
import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { COUNT_SCRIPT } from './count-script.ts'
import type { QuotaAnswer, QuotaExchange, QuotaStore } from './quota-store.ts'

/** Where a Redis is: another sidecar's way to it, or in tests the server itself. */
export interface RedisTarget {
  readonly host: string
  readonly port: number
  /** Options of the connection's TLS. Absent: none. */
  readonly tls?: ConnectionOptions
}

export interface RedisStoreDeps {
  /** Asked before each connection; undefined: there is no store now. */
  readonly target: () => RedisTarget | undefined
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
}

export interface RedisStore extends QuotaStore {
  /** Connects where it is not connected and there is a store. Call it when the target may have changed. */
  review(): void
  /** Lets a connection that was made with something older go, and makes another. */
  renew(): void
  close(): void
}

/** Milliseconds in which a batch is answered. Later, the store is as good as gone. */
export const ANSWER_MS = 250

/** Milliseconds in which a store answers that is well. One that takes longer knows less than its answers say. */
export const SLOW_MS = 50

/** Milliseconds that a store answers until what it says is all there is to know. */
export const SETTLE_MS = 1_000

/** Milliseconds to connect, TLS included. */
const CONNECT_MS = 2_000

/** Milliseconds between two tries to connect. */
const RETRY = { baseMs: 200, maxMs: 10_000, minMs: 100 } as const

const SCRIPT_SHA1 = createHash('sha1').update(COUNT_SCRIPT).digest('hex')

/** What is asked of a client of Redis here. */
interface Connection {
  connect(): Promise<unknown>
  destroy(): void
  on(event: 'error' | 'end', listener: (error?: Error) => void): unknown
  sendCommand(command: readonly string[]): Promise<unknown>
}

/**
 * Counts in a Redis. There is one connection, and none while there is no store; when it is lost, or does not answer, everything
 * fails at once until there is another. The library is loaded with the first connection.
 */
export function createRedisStore({ target, clock, random, log }: RedisStoreDeps): RedisStore {
  const backoff: Backoff = createBackoff({ ...RETRY, random })
  let connection: Connection | undefined
  /** Where it leads. */
  let place = ''
  let isReady = false
  let readySinceMs = 0
  let isConnecting = false
  let isClosed = false
  let hasTold = false
  let cancelRetry: CancelTimer | undefined

  const connect = async (): Promise<void> => {
    const to = target()
    if (to === undefined || isConnecting || isClosed || connection !== undefined) return
    isConnecting = true
    cancelRetry?.()
    cancelRetry = undefined
    let made: Connection | undefined
    try {
      made = await open(to)
      const own = made
      made.on('error', (error) => lose(own, error))
      made.on('end', () => lose(own))
      connection = made
      place = placeOf(to)
      await within(CONNECT_MS, clock, begin(made))
      isConnecting = false
      if (connection !== made) return retryLater()
      isReady = true
      readySinceMs = clock.monotonic()
      hasTold = false
      backoff.reset()
      log.info('the store of shared limits answers', { 'server.address': to.host, 'server.port': to.port })
    } catch (error) {
      isConnecting = false
      lose(made, error as Error)
      retryLater()
    }
  }

  const retryLater = (): void => {
    if (isClosed || cancelRetry !== undefined || target() === undefined) return
    cancelRetry = clock.setTimer(
      backoff.next(),
      () => {
        cancelRetry = undefined
        void connect()
      },
      { keepAlive: false },
    )
  }

  const lose = (lost: Connection | undefined, err?: Error): void => {
    if (lost !== undefined && lost !== connection) return
    connection = undefined
    isReady = false
    destroy(lost)
    if (isClosed) return
    // Once for each time that it goes away, however often it is tried.
    if (!hasTold) log.warn('the store of shared limits does not answer: each replica keeps to its share', { err })
    hasTold = true
    if (!isConnecting) retryLater()
  }

  const letGo = (): void => {
    const last = connection
    connection = undefined
    isReady = false
    destroy(last)
  }

  return {
    get isReady() {
      return isReady
    },
    get isSettled() {
      return isReady && clock.monotonic() - readySinceMs >= SETTLE_MS
    },
    async exchange(asked) {
      const asks = connection
      if (asks === undefined || !isReady) throw new Error('there is no connection to the store')
      try {
        const askedAtMs = clock.monotonic()
        const answers = await within(ANSWER_MS, clock, Promise.all(asked.map((one) => askOne(asks, one))))
        const nowMs = clock.monotonic()
        if (nowMs - askedAtMs > SLOW_MS) readySinceMs = nowMs
        return answers
      } catch (error) {
        lose(asks, error as Error)
        throw error
      }
    },
    review() {
      const to = target()
      if (to === undefined || placeOf(to) !== place) letGo()
      void connect()
    },
    renew() {
      letGo()
      void connect()
    },
    close() {
      isClosed = true
      cancelRetry?.()
      letGo()
    },
  }
}

function placeOf({ host, port }: RedisTarget): string {
  return `${host} ${port}`
}

async function open({ host, port, tls }: RedisTarget): Promise<Connection> {
  const { createClient } = await import('@redis/client')
  const common = { host, port, connectTimeout: CONNECT_MS, reconnectStrategy: false } as const
  const options: RedisClientOptions = {
    socket: tls === undefined ? common : { ...tls, ...common, tls: true },
    disableOfflineQueue: true,
  }
  return createClient(options) as unknown as Connection
}

async function begin(connection: Connection): Promise<void> {
  await connection.connect()
  await connection.sendCommand(['SCRIPT', 'LOAD', COUNT_SCRIPT])
}

async function within<T>(limitMs: number, clock: Clock, answer: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const due = () => reject(new Error(`no answer within ${limitMs} ms`))
  const cancel = clock.setTimer(limitMs, due, { keepAlive: false })
  return Promise.race([answer, late]).finally(cancel)
}

function destroy(connection: Connection | undefined): void {
  try {
    connection?.destroy()
  } catch {
    // It is closed already.
  }
}

async function askOne(connection: Connection, asked: QuotaExchange): Promise<QuotaAnswer> {
  const { id, rate, owed, wanted, believed } = asked
  const intervalUs = (rate.perMs * 1_000) / rate.requests
  const values = [intervalUs, rate.burst, owed, wanted, believed].map(String)
  const answer = await connection.sendCommand(['EVALSHA', SCRIPT_SHA1, '1', id, ...values])
  const [granted, counted] = Array.isArray(answer) ? answer : []
  const read: QuotaAnswer = { granted: Number(granted), counted: Number(counted) }
  if (!Number.isInteger(read.granted) || !Number.isFinite(read.counted)) throw new Error('the store answers nonsense')
  return read
}
