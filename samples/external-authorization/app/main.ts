import { createServer, type RequestListener } from 'node:http'
import { readOptions } from './options.ts'

/** Badges and whose they are. In earnest: a database, an engine of rules, a product that the company has. */
const BADGES: Readonly<Record<string, string>> = { 'b-1': 'ann', 'b-2': 'visitor' }

let asked = 0

/** Decides on the requests of others: it is told what they are, and never sees their bodies. */
const guard: RequestListener = (request, response) => {
  if (request.url === '/asked') return void response.end(`${asked}`)
  asked += 1
  const badge = request.headers['x-badge']
  const user = typeof badge === 'string' && Object.hasOwn(BADGES, badge) ? BADGES[badge] : undefined
  if (user === undefined) return void response.writeHead(401, { 'www-authenticate': 'Badge' }).end('show your badge\n')
  const isReading = request.headers['x-asked-method'] === 'GET'
  if (user === 'visitor' && !isReading) return void response.writeHead(403).end('visitors only look\n')
  response.writeHead(200, { 'x-user': user }).end()
}

/** Has no idea of badges. */
const desk: RequestListener = (request, response) => {
  response.end(`${request.method} ${request.url} by ${request.headers['x-user'] ?? 'nobody'}\n`)
}

const { role, host, port } = readOptions()
createServer(role === 'guard' ? guard : desk).listen(port, host)
process.on('SIGTERM', () => process.exit(0))
