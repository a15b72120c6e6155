/** Holds many connections that have made a request each, and asks again on some of them. Asked by `idle.ts`. */
import type { TLSSocket } from 'node:tls'
import type { IdleAnswer, IdleAsk, IdleSettings } from './idle.ts'
import { connectTls } from './probe.ts'
import { HTTP1_ALPN } from './tools.ts'

/** Handshakes that are under way at once. */
const AT_ONCE = 20

const sockets: TLSSocket[] = []
let request = ''
let problem: string | undefined

const say = (answer: IdleAnswer) => void process.send?.(answer)

async function open({ connections, path, port, root, certificate }: IdleSettings): Promise<void> {
  request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`
  let left = connections
  const worker = async () => {
    while (left > 0) {
      left -= 1
      const socket = connectTls({ port, root, certificate }, HTTP1_ALPN)
      socket.on('error', (error) => (problem ??= error.message))
      socket.on('close', () => (problem ??= 'a connection was closed'))
      await new Promise<void>((resolve) => socket.once('secureConnect', resolve).once('close', resolve))
      await ask(socket)
      sockets.push(socket)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

/** Resolves with the milliseconds that one request takes, or with undefined when the connection is gone. */
function ask(socket: TLSSocket): Promise<number | undefined> {
  const start = performance.now()
  return new Promise((resolve) => {
    let text = ''
    const finish = (value: number | undefined) => {
      socket.off('data', take)
      socket.off('close', gone)
      resolve(value)
    }
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const headEnd = text.indexOf('\r\n\r\n')
      if (headEnd === -1) return
      const length = Number(/^content-length: *(\d+)\r$/im.exec(text)?.[1])
      if (text.length < headEnd + 4 + length) return
      if (!text.startsWith('HTTP/1.1 200 ')) problem ??= text.slice(0, 100)
      finish(performance.now() - start)
    }
    const gone = () => finish(undefined)
    socket.on('data', take)
    socket.on('close', gone)
    socket.write(request)
  })
}

/** One request after the other, each `everyMs` after the last began, on a connection of its own. */
async function probe(count: number, everyMs: number): Promise<readonly number[]> {
  const pending: Promise<number | undefined>[] = []
  const stride = Math.max(1, Math.floor(sockets.length / count))
  for (let i = 0; i < count; i++) {
    pending.push(ask(sockets[(i * stride) % sockets.length]!))
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
  return (await Promise.all(pending)).filter((value) => value !== undefined)
}

process.on('message', (message) => {
  const asked = message as IdleAsk
  if (asked.type === 'open') return void open(asked.settings).then(() => say({ type: 'opened', problem }))
  void probe(asked.count, asked.everyMs).then((milliseconds) => say({ type: 'probed', milliseconds, problem }))
})
process.on('disconnect', () => process.exit())
