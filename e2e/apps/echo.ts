// Answers with what it was sent: to see what is left of a client's headers behind the mesh.
import { createServer } from 'node:http'

const { HOST = '127.0.0.1', PORT = '8080' } = process.env

const server = createServer((request, response) => {
  const { method, url, rawHeaders } = request
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ method, url, headers: pairs(rawHeaders) }))
})
server.listen(Number(PORT), HOST)
process.once('SIGTERM', () => server.close(() => process.exit(0)).closeIdleConnections())

function pairs(raw: readonly string[]): readonly (readonly [name: string, value: string])[] {
  return raw.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), raw[i + 1] ?? ''] as const] : []))
}
