/** Sends messages and waits for each to come back, on many connections at once. Asked by `echo.ts`. */

import type { EchoAnswer, EchoAsk, EchoSettings } from './echo.ts'
import { connectTls } from './probe.ts'

const MASK = Buffer.from([1, 2, 3, 4])
const UPGRADE = [
  'GET /ws HTTP/1.1',
  'Host: app',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: aGF1YmVyayBiZW5jaCAuLg==',
]

let returned = 0
let isStopping = false
let hasEnded = false
let problem: string | undefined
let ending: (() => void) | undefined

const say = (answer: EchoAnswer) => void process.send?.(answer)

async function run({ kind, connections, bytes, ...where }: EchoSettings): Promise<void> {
  const payload = Buffer.from('hauberk '.repeat(bytes / 8))
  const message = kind === 'tcp' ? payload : frameOf(payload, MASK)
  const expected = kind === 'tcp' ? payload : frameOf(payload, undefined)
  await Promise.all(Array.from({ length: connections }, () => open({ ...where, kind, message, expected })))
}

interface Opening extends Omit<EchoSettings, 'connections' | 'bytes'> {
  readonly message: Buffer
  readonly expected: Buffer
}

/** Resolves once the connection has ended. */
function open({ kind, port, root, certificate, alpn, message, expected }: Opening): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTls({ port, root, certificate }, alpn)
    let isUpgraded = kind === 'tcp'
    let held: Buffer[] = []
    let length = 0
    const fail = (why: string) => {
      problem ??= why
      socket.destroy()
    }
    const next = () => {
      if (isStopping) socket.end()
      else socket.write(message)
    }
    socket.on('secureConnect', () => {
      socket.setNoDelay(true)
      if (isUpgraded) next()
      else socket.write(`${UPGRADE.join('\r\n')}\r\n\r\n`)
    })
    socket.on('data', (chunk: Buffer) => {
      held.push(chunk)
      length += chunk.length
      if (!isUpgraded) {
        const head = Buffer.concat(held).toString('latin1')
        if (!head.endsWith('\r\n\r\n')) return
        if (!head.startsWith('HTTP/1.1 101 ')) return fail(`no upgrade: ${head}`)
        isUpgraded = true
      } else {
        if (length < expected.length) return
        const got = held.length === 1 ? chunk : Buffer.concat(held)
        if (!got.equals(expected)) return fail('another message came back')
        returned += 1
      }
      held = []
      length = 0
      next()
    })
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => {
      if (!isStopping) fail('closed')
      resolve()
    })
  })
}

/** A whole binary message in one frame (RFC 6455, 5.2) of 126 to 65,535 octets; masked as clients must. */
function frameOf(payload: Buffer, mask: Buffer | undefined): Buffer {
  const head = Buffer.from([0x82, mask === undefined ? 126 : 0xfe, payload.length >>> 8, payload.length & 255])
  if (mask === undefined) return Buffer.concat([head, payload])
  return Buffer.concat([head, mask, payload.map((octet, i) => octet ^ mask[i & 3]!)])
}

process.on('message', (message) => {
  const ask = message as EchoAsk
  switch (ask.type) {
    case 'run':
      void run(ask.settings).then(() => {
        hasEnded = true
        ending?.()
      })
      return
    case 'count':
      return say({ type: 'counted', returned, ...(problem !== undefined && { problem }) })
    case 'stop':
      ending = () => say({ type: 'stopped', returned, ...(problem !== undefined && { problem }) })
      if (hasEnded) ending()
      isStopping = true
      return
  }
})
process.on('disconnect', () => process.exit())
