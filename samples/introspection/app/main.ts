import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createAuth } from './auth.ts'
import { readOptions } from './options.ts'

/** Has never seen a token. */
const accounts: RequestListener = (request, response) => {
  const { authorization = 'none', 'x-client': client = 'nobody' } = request.headers
  response.end(`${request.method} ${request.url} by ${client}, token: ${authorization}\n`)
}

const { role, host, port, branchSecretFile } = readOptions()
const listener = role === 'auth' ? createAuth(readFileSync(branchSecretFile, 'utf8').trim()) : accounts
createServer(listener).listen(port, host)
process.on('SIGTERM', () => process.exit(0))
