/** A service of ten lines: says who it is, calls a peer, shows a mounted secret, takes its time, never answers. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const { NAME, PEER_URL, SECRET_FILE = '', HOST, PORT } = process.env

createServer(async (request, response) => {
  if (request.url === '/call') {
    const answer = await fetch(`${PEER_URL}/`).catch((error: unknown) => ({ status: String(error), text: () => '' }))
    response.end(JSON.stringify({ status: answer.status, body: await answer.text() }))
  } else if (request.url === '/secret') response.end(readFileSync(SECRET_FILE, 'utf8'))
  else if (request.url === '/slow') setTimeout(() => response.end('slow'), 500)
  else if (request.url !== '/hang') response.end(NAME)
}).listen(Number(PORT), HOST)

process.on('SIGTERM', () => process.exit(0))
