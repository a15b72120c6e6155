import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createAuth } from './auth.ts'
import { readOptions } from './options.ts'
import { call, passingOn } from './passing-on.ts'

/** Knows of no tokens. On /page it asks orders as an answer to its request, on /alone as if it had none. */
const storefront: RequestListener = async (request, response) => {
  const ask = request.url === '/alone' ? fetch : call
  const answer = await ask('http://orders/list').catch((error: Error) => new Response(error.message, { status: 502 }))
  response.writeHead(answer.status).end(await answer.text())
}

/** Says who it is told that the user is, and whether it was shown any token. */
const orders: RequestListener = ({ headers }, response) => {
  const { 'x-user': user = 'nobody', authorization = 'none', 'txn-token': internal = 'none' } = headers
  response.end(`orders of ${user}, token: ${authorization}, internal token: ${internal}\n`)
}

const { role, host, port, secretFile } = readOptions()
const listeners = {
  auth: () => createAuth(readFileSync(secretFile, 'utf8').trim()),
  orders: () => orders,
  storefront: () => passingOn(storefront),
}
createServer(listeners[role]()).listen(port, host)
process.on('SIGTERM', () => process.exit(0))
