import { setTimeout as sleep } from 'node:timers/promises'
import { Pool, type QueryResult } from 'pg'
import type { Logger } from '../service/log.ts'
import { migrate } from './migrations.ts'

/** Connections at once. More requests wait their turn. */
const MAX_CONNECTIONS = 8
/** Longest pause between two tries to reach a database that is not there yet. */
const MAX_PAUSE_MS = 2_000

/** How often a statement is tried, the first time included. */
const MAX_TRIES = 3

/**
 * Runs one statement, and once more on another connection if the one it was on broke: connections end, for instance when
 * the certificate they were opened with does. So a statement may run twice, and must come to the same then.
 */
export type Query = (text: string, values: readonly unknown[]) => Promise<QueryResult>

export interface Database {
  readonly query: Query
  /** True once the database was reached and has its newest shape. */
  isReady(): boolean
  close(): Promise<void>
}

/** Connects in the background and keeps trying: the database may come up later than we do. */
export function openDatabase(url: string, log: Logger): Database {
  // Not as a connection string: the library would take the URL's missing password for an empty one.
  const { hostname, port, username, pathname } = new URL(url)
  const pool = new Pool({
    host: hostname,
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    database: decodeURIComponent(pathname.slice(1)),
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    query_timeout: 5_000,
  })
  // A connection that breaks while idle leaves the pool; the next query opens another.
  pool.on('error', (error) => log.warn({ err: error }, 'a database connection broke'))

  const closing = new AbortController()
  let ready = false
  const becomeReady = async () => {
    for (let pause = 50; !closing.signal.aborted; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
      try {
        await migrate(pool)
        ready = true
        log.info('the database is ready')
        return
      } catch (error) {
        log.warn({ error: (error as Error).message, pause }, 'the database is not ready')
      }
      await sleep(pause, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  const started = becomeReady()

  const query: Query = async (text, values) => {
    for (let tries = 1; ; tries++) {
      try {
        return await pool.query(text, [...values])
      } catch (error) {
        if (tries === MAX_TRIES || !isBroken(error)) throw error
        log.warn({ err: error, tries }, 'a database connection broke under a statement')
      }
    }
  }
  return {
    query,
    isReady: () => ready,
    async close() {
      closing.abort()
      await started
      await pool.end()
    },
  }
}

/** Whether it was the connection that failed. What the server itself refuses, or does not answer in time, is not asked again. */
function isBroken(error: unknown): boolean {
  const { code = '', message } = error as Error & { readonly code?: string }
  // 57P01 to 57P03: the server ends or begins (PostgreSQL, appendix A).
  return /^(ECONNRESET|EPIPE|57P0[123])$/.test(code) || /Connection terminated|not queryable/.test(message)
}
