import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AppOptions, readOptions } from './options.ts'

/** Says who it is, or passes the question on to the Service that it calls: it knows one name, and nothing of versions. */
function start({ name, calls, host, port }: AppOptions): void {
  const server = createServer((request, response) => {
    if (calls === undefined) return void response.end(`${name}\n`)
    passOn(calls, request, response).catch((error: Error) => response.writeHead(502).end(`${error.message}\n`))
  })
  server.listen(port, host)
  process.on('SIGTERM', () => process.exit(0))
}

async function passOn(service: string, { url = '/', headers }: IncomingMessage, response: ServerResponse) {
  const tester = headers['x-tester']
  const answer = await fetch(
    new URL(url, service),
    typeof tester === 'string' ? { headers: { 'x-tester': tester } } : {},
  )
  response.writeHead(answer.status).end(await answer.text())
}

start(readOptions())
