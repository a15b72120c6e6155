import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type TestContext, test } from 'node:test'
import { KNOWS_PROCESSES, MAX_WAITING, ProcessTrees, type SocketEnd } from './process-tree.ts'

/** Of the families that this machine has. */
const HOSTS = networkInterfaces().lo?.some(({ family }) => family === 'IPv6')
  ? ['127.0.0.1', '::1', '::']
  : ['127.0.0.1']

const linuxOnly = { skip: !KNOWS_PROCESSES }

async function listen(t: TestContext, host: string): Promise<Server> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  t.after(() => server.close())
  return server
}

function portOf(server: Server): number {
  return (server.address() as { readonly port: number }).port
}

async function accept(t: TestContext, server: Server, dial: () => void): Promise<Socket> {
  const accepted = once(server, 'connection')
  dial()
  const [socket] = (await accepted) as [Socket]
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  return socket
}

/** Both ends, as the side that accepted sees them. */
function endsOf(socket: Socket): readonly [SocketEnd, SocketEnd] {
  return [
    { address: socket.remoteAddress!, port: socket.remotePort! },
    { address: socket.localAddress!, port: socket.localPort! },
  ]
}

for (const host of HOSTS) {
  test(`T35: a connection to ${host} is known by the process that made it, or a child of it`, linuxOnly, async (t) => {
    const server = await listen(t, host)
    const port = portOf(server)
    const to = host === '::' ? '127.0.0.1' : host
    const trees = new ProcessTrees()
    const own = await accept(t, server, () => {
      const client = connect(port, to)
      t.after(() => client.destroy())
    })
    const script = `require('node:net').connect(${port}, '${to}')`
    const child = spawn(process.execPath, ['-e', script])
    t.after(() => child.kill('SIGKILL'))
    const [theirs] = (await once(server, 'connection')) as [Socket]
    theirs.on('error', () => {})
    t.after(() => theirs.destroy())
    assert.equal(await trees.contains(process.pid, ...endsOf(own)), true)
    assert.equal(await trees.contains(child.pid!, ...endsOf(own)), false)
    assert.equal(await trees.contains(child.pid!, ...endsOf(theirs)), true)
    assert.equal(await trees.contains(process.pid, ...endsOf(theirs)), true)
    // Of a connection that is not there nobody knows anything.
    const [client, listener] = endsOf(own)
    assert.equal(await trees.contains(process.pid, { ...client, port: 1 }, listener), false)
    assert.equal(await trees.contains(4_194_305, client, listener), false)
  })
}

test(
  'T35: those who come while one is searched for are searched for together, and too many are refused',
  linuxOnly,
  async (t) => {
    const server = await listen(t, '127.0.0.1')
    const trees = new ProcessTrees()
    const socket = await accept(t, server, () => {
      const client = connect(portOf(server), '127.0.0.1')
      t.after(() => client.destroy())
    })
    const [theirs, ours] = endsOf(socket)
    const first = trees.contains(process.pid, theirs, ours)
    const crowd = Array.from({ length: MAX_WAITING + 50 }, (_, i) =>
      trees.contains(process.pid, i < 100 ? theirs : { ...theirs, port: 1 }, ours),
    )
    assert.equal(await first, true)
    const answers = await Promise.all(crowd)
    assert.equal(answers.filter((isOfTree) => isOfTree).length, 100)
    assert.ok(trees.searches <= 2, `${trees.searches} searches`)
  },
)
