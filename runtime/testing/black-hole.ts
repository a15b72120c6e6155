import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

const LISTENER = `
const server = require('node:net').createServer(() => {})
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => process.stdout.write(server.address().port + '\\n'))
`

/** Connections that a stopped listener's kernel takes in its place are at most so many. */
const MAX_TAKEN = 16

/**
 * A port of loopback where a SYN is answered by nobody, as where a node has gone: a process that listens and is stopped, with
 * its queue of connections filled. Resolves when the next connection is left waiting.
 */
export async function blackHole(t: TestContext): Promise<number> {
  const child = spawn(process.execPath, ['-e', LISTENER], { stdio: ['ignore', 'pipe', 'inherit'] })
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    child.kill('SIGKILL')
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line.toString())
  child.kill('SIGSTOP')
  for (let i = 0; i < MAX_TAKEN; i++) {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', () => {})
    sockets.push(socket)
    await Promise.race([once(socket, 'connect'), waitLong()])
    if (socket.connecting) return port
  }
  throw new Error('the kernel goes on taking connections')
}

/**
 * Long beside what a connection over loopback takes; a SYN is sent again only after a second. What came while this process was held up
 * is read before the time is taken for over.
 */
async function waitLong(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 500))
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
