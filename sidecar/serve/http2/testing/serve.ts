import { startSessionServer } from './session-server.ts'

/**
 * A program of its own with a plain server over the session: for h2spec, and for tests that measure its memory. Prints its
 * port; run as a child with a channel, it answers each message with its resident bytes, and ends with its parent.
 */
const server = await startSessionServer({ port: Number(process.argv[2] ?? 0) })
console.log(server.port)
process.on('message', () => process.send?.(process.memoryUsage.rss()))
process.on('disconnect', () => process.exit())
