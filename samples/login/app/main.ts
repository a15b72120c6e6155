import { createServer, type RequestListener } from 'node:http'
import { createAuth } from './auth.ts'
import { readOptions } from './options.ts'

/** Has no login, no session and no token: only a person's name, in a header. */
const desk: RequestListener = (request, response) => {
  const { authorization = 'none', cookie = 'none', 'x-user': user = 'nobody' } = request.headers
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(`<!doctype html>
<title>Desk</title>
<h1>Hello, ${user}</h1>
<p>${request.method} ${request.url}, token: ${authorization}, cookie: ${cookie}</p>
<form method="post" action="/notes"><button>Leave a note</button></form>
<form method="post" action="/oauth2/logout"><button>Sign out</button></form>
`)
}

const { role, host, port, secretsDir } = readOptions()
createServer(role === 'auth' ? createAuth(secretsDir) : desk).listen(port, host)
process.on('SIGTERM', () => process.exit(0))
