import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type ConnectionOptions, connect } from 'node:tls'
import { NODE_FLAGS } from './node-flags.ts'

const ROOT = join(import.meta.dirname, '..')

/** Session tickets that a client is handed by a mesh listener under Node with these flags. */
async function ticketsWith(flags: readonly string[]): Promise<number> {
  const child = fork(join(import.meta.dirname, 'testing', 'listen-program.ts'), [], { execArgv: [...flags] })
  try {
    const [told] = (await once(child, 'message')) as [{ readonly port: number; readonly client: ConnectionOptions }]
    const { port, client } = told
    const socket = connect({ host: '127.0.0.1', port, ...client, checkServerIdentity: () => undefined })
    let tickets = 0
    socket.on('session', () => {
      tickets += 1
    })
    // Tickets come before whatever the server says once it has heard something.
    socket.write('hello')
    await once(socket, 'data')
    socket.destroy()
    return tickets
  } finally {
    child.kill()
  }
}

describe('flags of Node', () => {
  it('T06: with them no handshake hands out a session ticket, which without them it does', async () => {
    assert.equal(await ticketsWith([]), 2)
    assert.equal(await ticketsWith(NODE_FLAGS), 0)
  })

  it('are those of the image', async () => {
    const file = await readFile(join(ROOT, 'images', 'sidecar.Dockerfile'), 'utf8')
    const entrypoint = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(file)?.[1] ?? '[]') as readonly string[]
    const inImage = NODE_FLAGS.map((flag) => flag.replace(/=.*\/openssl\.cnf$/, '=/app/openssl.cnf'))
    for (const flag of inImage) assert.ok(entrypoint.includes(flag), flag)
  })
})
