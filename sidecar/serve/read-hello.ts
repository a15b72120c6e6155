import type { Hostname } from '../../model/hostname.ts'
import { ClientHelloReader, type HelloProblem, type HelloRead } from '../client-hello/client-hello.ts'
import type { Accepted } from './accepted.ts'
import type { Engine } from './engine.ts'
import { guard } from './port.ts'
import { sayAndClose } from './say-and-close.ts'

/** What a client began with. */
export type Greeting =
  | { readonly kind: 'hello'; readonly serverName: Hostname | undefined }
  | { readonly kind: 'refused'; readonly reason: HelloProblem | 'timeout' }

/**
 * Reads the ClientHello of a connection, and puts its bytes back: whoever it is for reads it again. `done` is called once,
 * unless the client goes before; the time is that of a head, whose bound is the hello's own.
 */
export function readHello(engine: Engine, { socket }: Accepted, done: (greeting: Greeting) => void): void {
  const hello = new ClientHelloReader()
  const chunks: Buffer[] = []
  const settle = (greeting: Greeting) => {
    engine.deadlines.remove(deadline)
    socket.off('data', onData)
    socket.off('end', onGone)
    socket.off('close', onGone)
    socket.pause()
    socket.unshift(Buffer.concat(chunks))
    guard(engine, socket, () => done(greeting))
  }
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    const read: HelloRead = hello.read(chunk)
    if (read.kind !== 'incomplete') settle(read)
  }
  const onGone = () => {
    engine.deadlines.remove(deadline)
    socket.destroy()
  }
  const deadline = engine.deadlines.create(() => settle({ kind: 'refused', reason: 'timeout' }))
  engine.deadlines.set(deadline, engine.limits.headMs)
  socket.on('data', onData)
  socket.once('end', onGone)
  socket.once('close', onGone)
}

/** Alerts that a client is told before its connection is closed (RFC 8446, 6; RFC 6066, 9). */
export const ALERT = { decodeError: 50, unrecognizedName: 112 } as const

const FATAL = 2

/** Tells a client that has not been answered a fatal alert, and closes the connection. */
export function alertAndClose(engine: Engine, { socket }: Accepted, alert: number): void {
  sayAndClose(engine, socket, Buffer.from([ALERT_RECORD, 3, 3, 0, 2, FATAL, alert]))
}

/** The type of a record (RFC 8446, 5.1). */
const ALERT_RECORD = 21
