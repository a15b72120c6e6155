import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import { type Orders, startPlane } from './plane.ts'

/**
 * A process in a network namespace, as the user that its first argument names. It does as it is told on standard input, a
 * line of JSON each, and answers in the same way: an application, somebody who calls, or a sidecar.
 */
const [uid = 0] = process.argv.slice(2).map(Number)
if (uid !== 0) {
  process.setgid?.(uid)
  process.setuid?.(uid)
}

/** Milliseconds without a byte after which nothing more is expected. */
const SILENCE_MS = 15_000

let plane: Awaited<ReturnType<typeof startPlane>> | undefined

const DO: { readonly [Name in keyof Orders]: (order: Orders[Name]['order']) => Promise<Orders[Name]['answer']> } = {
  serve: ({ host, port, what, name }) =>
    new Promise((resolve, reject) => {
      const server =
        what === 'http'
          ? createHttpServer((request, response) => {
              response.end(`${name} ${request.headers.host} ${request.url} from ${request.socket.remoteAddress}`)
            })
          : createServer((socket) => {
              socket.on('error', () => {})
              if (what === 'greet') socket.write(`${name} greets ${socket.remoteAddress}\n`)
              socket.on('data', (chunk) => socket.write(`${name} heard ${chunk.toString('latin1')}`))
            })
      server.once('error', reject)
      server.listen({ host, port, ipv6Only: host === '::' }, () => resolve('listening'))
    }),

  talk: ({ host, port, send, tls, until }) =>
    new Promise((resolve) => {
      const socket: Socket =
        tls === undefined
          ? connect({ host, port, timeout: SILENCE_MS })
          : connectTls({ host, port, servername: tls.serverName, rejectUnauthorized: false, timeout: SILENCE_MS })
      let heard = ''
      const settle = (ended: string) => {
        socket.destroy()
        resolve({ heard, ended })
      }
      socket.setEncoding('latin1').on('data', (text) => {
        heard += text
        if (until !== undefined && heard.includes(until)) settle('heard')
      })
      socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
        if (send !== undefined) socket.write(send)
      })
      socket.once('timeout', () => settle('silence'))
      socket.once('end', () => settle('end'))
      socket.once('close', () => settle('close'))
      socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
    }),

  async plane(order) {
    plane = await startPlane(order)
    return 'listening'
  },

  async update(order) {
    await plane?.update(order)
    return 'updated'
  },

  async records() {
    return plane?.records ?? { requests: [], connections: [] }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, name, order } = JSON.parse(line) as {
    readonly id: number
    readonly name: keyof Orders
    readonly order: never
  }
  DO[name](order).then(
    (answer: unknown) => console.log(JSON.stringify({ id, answer })),
    (error: unknown) =>
      console.log(JSON.stringify({ id, error: error instanceof Error ? error.stack : String(error) })),
  )
}
process.exit(0)
