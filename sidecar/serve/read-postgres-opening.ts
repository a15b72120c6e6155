import type { Socket } from 'node:net'
import { type Opening, type OpeningProblem, OpeningReader } from '../postgres/opening-reader.ts'
import type { Engine } from './engine.ts'
import { guard } from './port.ts'

/** What a client of Postgres wants, after the mesh has told it that nothing else encrypts here. */
export type PostgresGreeting =
  | Extract<Opening, { readonly kind: 'startup' | 'cancel' }>
  | { readonly kind: 'refused'; readonly reason: OpeningProblem | 'timeout' }

/** No: the connection goes through the mesh, which encrypts it (PostgreSQL, 54.2.11). */
const NO = Buffer.from('N', 'latin1')

/**
 * Reads how a client of Postgres begins, and answers what it asks before that. `done` is called once, unless the client goes
 * before; then the socket is paused, and what came after the beginning is still to be read. The time for all of it is that
 * of a head.
 */
export function readPostgresOpening(engine: Engine, socket: Socket, done: (greeting: PostgresGreeting) => void): void {
  const reader = new OpeningReader()
  const settle = (greeting: PostgresGreeting) => {
    engine.deadlines.remove(deadline)
    socket.off('data', onData)
    socket.off('end', onGone)
    socket.off('close', onGone)
    socket.pause()
    if (greeting.kind !== 'refused') {
      const rest = reader.rest()
      if (rest.length > 0) socket.unshift(rest)
    }
    guard(engine, socket, () => done(greeting))
  }
  const onData = (chunk: Buffer) => {
    let opening = reader.push(chunk)
    while (opening?.kind === 'encryption') {
      socket.write(NO)
      opening = reader.next()
    }
    if (opening !== undefined) settle(opening)
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
  socket.resume()
}

/**
 * Looks on while a client begins, and holds nothing up. `done` is called at most once: not for a client that never says
 * enough. What asks for encryption is passed on; where that is granted, what follows is none of a Postgres client.
 */
export function watchPostgresOpening(socket: Socket, done: (greeting: PostgresGreeting) => void): void {
  const reader = new OpeningReader()
  const onData = (chunk: Buffer) => {
    let opening = reader.push(chunk)
    while (opening?.kind === 'encryption') opening = reader.next()
    if (opening === undefined) return
    socket.off('data', onData)
    done(opening)
  }
  socket.on('data', onData)
}
