import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from './log.ts'

/** How long a request that is under way may take to finish once the service was told to stop. */
const DRAIN_MS = 10_000

export interface Running {
  /** `http://127.0.0.1:PORT`, for callers on this machine. */
  readonly url: string
  /** Refuses new connections, lets requests under way finish (at most 10 s), then resolves. */
  stop(): Promise<void>
}

/** Listens for HTTP. */
export async function serve(app: RequestListener, at: { host: string; port: number }): Promise<Running> {
  const server = createServer(app)
  server.listen(at.port, at.host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  let stopping: Promise<void> | undefined
  const stop = async () => {
    const closed = once(server, 'close')
    server.close()
    // A kept-alive connection whose last request ends now would hold the server open until its client leaves.
    const sweep = setInterval(() => server.closeIdleConnections(), 20)
    const giveUp = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
    await closed
    clearInterval(sweep)
    clearTimeout(giveUp)
  }
  return {
    url: `http://127.0.0.1:${port}`,
    stop() {
      stopping ??= stop()
      return stopping
    },
  }
}

/**
 * The life of a service's process: starts, waits for SIGTERM or SIGINT, stops, exits.
 *
 * Exits with 0 after a stop that was asked for, with 1 when the service cannot start.
 */
export async function runService(log: Logger, start: () => Promise<Running>): Promise<void> {
  const signalled = Promise.race(['SIGTERM', 'SIGINT'].map(async (name) => once(process, name).then(() => name)))
  let running: Running
  try {
    running = await start()
  } catch (error) {
    log.fatal({ err: error }, 'the service cannot start')
    process.exitCode = 1
    return
  }
  log.info({ url: running.url }, 'serving')
  log.info({ signal: await signalled }, 'stopping')
  await running.stop()
  process.exit(0)
}
