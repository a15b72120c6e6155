// One call as an app makes it: plain fetch, and what the environment says of proxies. Reads the request as JSON from
// its input and prints the answer as JSON.
import { text } from 'node:stream/consumers'
import type { Answer } from '../world/answer.ts'
import type { InsideAsk } from '../world/world.ts'

const { method = 'GET', url, headers = {}, body } = JSON.parse(await text(process.stdin)) as InsideAsk
const init: RequestInit = { method, headers, redirect: 'manual', signal: AbortSignal.timeout(5_000) }
if (body !== undefined) {
  init.headers = { 'content-type': 'application/json', ...headers }
  init.body = JSON.stringify(body)
}
let answer: Answer
try {
  const response = await fetch(url, init)
  answer = { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
} catch (error) {
  const { cause } = error as Error
  answer = { status: 0, headers: {}, body: String(cause ?? error) }
}
process.stdout.write(JSON.stringify(answer))
