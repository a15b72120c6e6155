import { createServer } from 'node:http'
import { readOptions } from './options.ts'

/** Answers whoever the mesh says to call. It has never seen a key. */
const { host, port } = readOptions()
const server = createServer(({ url = '/', headers }, response) => {
  const { 'x-client': client = 'nobody', 'x-api-key': key } = headers
  response.end(`${url} for ${client}${key === undefined ? '' : ', whose key I know'}\n`)
})
server.listen(port, host)
process.on('SIGTERM', () => process.exit(0))
