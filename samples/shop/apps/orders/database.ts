import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import type { Logger } from '../service/log.ts'
import { migrate } from './migrations.ts'

/** Connections at once. More requests wait their turn. */
const MAX_CONNECTIONS = 8
/** Longest pause between two tries to reach a database that is not there yet. */
const MAX_PAUSE_MS = 2_000

export interface Database {
  readonly pool: Pool
  /** True once the database was reached and has its newest shape. */
  isReady(): boolean
  close(): Promise<void>
}

/** Connects in the background and keeps trying: the database may come up later than we do. */
export function openDatabase(url: string, passwordFile: string, log: Logger): Database {
  // Not as a connection string: the library would take the URL's missing password for an empty one.
  const { hostname, port, username, pathname } = new URL(url)
  const pool = new Pool({
    host: hostname,
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    database: decodeURIComponent(pathname.slice(1)),
    // Read each time, so that a new password counts from the next connection on.
    password: async () => (await readFile(passwordFile, 'utf8')).trim(),
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

  return {
    pool,
    isReady: () => ready,
    async close() {
      closing.abort()
      await started
      await pool.end()
    },
  }
}
