import { createServer } from 'node:http'
import { type AppOptions, readOptions } from './options.ts'

/** Milliseconds that a slow app takes every other time. */
const SLOW_MS = 1_000

/** Says who it is, and at /seen how often it was asked. */
function start({ name, mood, host, port }: AppOptions): void {
  let seen = 0
  const server = createServer((request, response) => {
    if (request.url === '/seen') return void response.end(String(seen))
    seen += 1
    const isInMood = seen % 2 === 1
    if (mood === 'flaky' && isInMood) return void response.writeHead(503).end('not now')
    if (mood === 'slow' && isInMood) return void setTimeout(() => response.end(name), SLOW_MS)
    response.end(name)
  })
  server.listen(port, host)
  process.on('SIGTERM', () => process.exit(0))
}

start(readOptions())
