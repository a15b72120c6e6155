import { parseHostname } from '../../model/hostname.ts'
import { ClientHelloReader, MAX_HELLO_BYTES } from '../client-hello/client-hello.ts'
import type { Accepted } from '../serve/accepted.ts'
import type { Engine } from '../serve/engine.ts'
import { RequestHeadParser } from '../serve/http1/request-head.ts'
import { guard } from '../serve/port.ts'

/** What the first bytes of a client name: the host, or nothing, or not yet. */
type Spoken = { readonly host: string } | 'nothing' | 'incomplete'

/** The first byte of a TLS handshake record (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16

/**
 * The host that a client names in its first bytes, by SNI or Host, in lower case; undefined: none within the time that a
 * head may take. The bytes are put back. `done` is called once, unless the client goes before.
 */
export function readSpokenHost(engine: Engine, { socket }: Accepted, done: (host: string | undefined) => void): void {
  const chunks: Buffer[] = []
  const hello = new ClientHelloReader()
  const settle = (spoken: Spoken) => {
    engine.deadlines.remove(deadline)
    socket.off('data', onData)
    socket.off('end', onGone)
    socket.off('close', onGone)
    socket.pause()
    const read = Buffer.concat(chunks)
    if (read.length > 0) socket.unshift(read)
    guard(engine, socket, () => done(typeof spoken === 'string' ? undefined : hostnameIn(spoken.host)))
  }
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    const read = Buffer.concat(chunks)
    const spoken = read[0] === TLS_HANDSHAKE ? readServerName(hello, chunk) : readHost(read)
    if (spoken !== 'incomplete') settle(spoken)
    else if (read.length > 2 * MAX_HELLO_BYTES) settle('nothing')
  }
  const onGone = () => {
    engine.deadlines.remove(deadline)
    socket.destroy()
  }
  const deadline = engine.deadlines.create(() => settle('nothing'))
  engine.deadlines.set(deadline, engine.limits.headMs)
  socket.on('data', onData)
  socket.once('end', onGone)
  socket.once('close', onGone)
  socket.resume()
}

function readServerName(hello: ClientHelloReader, chunk: Buffer): Spoken {
  const read = hello.read(chunk)
  if (read.kind === 'incomplete') return 'incomplete'
  return read.kind === 'hello' && read.serverName !== undefined ? { host: read.serverName } : 'nothing'
}

function readHost(bytes: Buffer): Spoken {
  const head = new RequestHeadParser().parse(bytes, 0, bytes.length)
  if (head === undefined) return 'incomplete'
  return head.kind === 'problem' ? 'nothing' : { host: head.host }
}

function hostnameIn(spoken: string): string | undefined {
  const parsed = parseHostname(spoken)
  return parsed.ok ? parsed.value : undefined
}
