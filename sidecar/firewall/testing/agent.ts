import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'

/**
 * A process in a network namespace, as the user that its first argument names: listens and dials as it is told on standard
 * input, a line of JSON each, and answers in the same way. Whoever is connected to hears `PORT` of the listener.
 */
const [uid] = process.argv.slice(2).map(Number)
if (uid !== undefined && uid !== 0) process.setuid?.(uid)

interface Order {
  readonly id: number
  readonly do: 'listen' | 'dial'
  readonly host: string
  readonly port: number
}

const listen = ({ host, port }: Order): Promise<string> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end(String(port))
    })
    server.once('error', reject)
    server.listen({ host, port }, () => resolve('listening'))
  })

/** What was heard, or the error's code. */
const dial = ({ host, port }: Order): Promise<string> =>
  new Promise((resolve) => {
    let heard = ''
    const socket = connect({ host, port, timeout: 2_000 })
    socket.setEncoding('utf8').on('data', (text) => {
      heard += text
    })
    socket.once('timeout', () => socket.destroy(new Error('timeout')))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('end', () => {
      socket.destroy()
      resolve(heard)
    })
  })

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order
  const outcome = order.do === 'listen' ? listen(order) : dial(order)
  outcome.then(
    (text) => console.log(JSON.stringify({ id: order.id, text })),
    (error: unknown) => console.log(JSON.stringify({ id: order.id, text: String(error) })),
  )
}
process.exit(0)
