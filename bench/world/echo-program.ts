/** Sends back what it gets: octets as they are, or the messages of a WebSocket (RFC 6455) once `/ws` was asked for. */
import { createHash } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { serveAsks } from './serve-asks.ts'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

let answered = 0

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.once('data', (first: Buffer) => {
    if (first.toString('latin1', 0, 8) === 'GET /ws ') return upgrade(socket, first.toString('latin1'))
    echo(socket, first)
    socket.on('data', (chunk: Buffer) => echo(socket, chunk))
  })
})

function echo(socket: Socket, chunk: Buffer): void {
  answered += 1
  socket.write(chunk)
}

function upgrade(socket: Socket, head: string): void {
  const key = /^sec-websocket-key: *(\S+)\r$/im.exec(head)?.[1] ?? ''
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  let held: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    for (let frame = readFrame(held); frame !== undefined; frame = readFrame(held)) {
      answered += 1
      socket.write(frame.answer)
      held = held.subarray(frame.length)
    }
  })
}

/** A whole binary message of 126 to 65,535 octets in one masked frame: the only kind that the generator sends. */
function readFrame(bytes: Buffer): { readonly length: number; readonly answer: Buffer } | undefined {
  if (bytes.length < 8) return undefined
  if (bytes[0] !== 0x82 || bytes[1] !== 0xfe) throw new Error('the generator sends no such frame')
  const size = bytes.readUInt16BE(2)
  const length = 8 + size
  if (bytes.length < length) return undefined
  const answer = Buffer.allocUnsafe(4 + size)
  answer[0] = 0x82
  answer[1] = 126
  answer.writeUInt16BE(size, 2)
  for (let i = 0; i < size; i++) answer[4 + i] = bytes[8 + i]! ^ bytes[4 + (i & 3)]!
  return { length, answer }
}

serveAsks(server, () => answered)
