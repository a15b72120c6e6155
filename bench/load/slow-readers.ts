import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { usageOf } from '../measure/process-tree.ts'
import { type Figures, type Stage, VoidRound, type Work } from '../scenario.ts'
import { DOWNLOADS } from '../world/backend.ts'
import { checkAnswers } from './check.ts'
import { connectTls } from './probe.ts'
import { HTTP1_ALPN } from './tools.ts'

const PATH = '/bytes/16m'
/** Milliseconds in which a proxy could have taken all of the bodies into its memory. */
const HOLD_MS = 3_000

/** Clients that ask for 16 MB each and read nothing for a while: a proxy is to stop its application, not to remember. */
export function slowReaders(readers: number): Work {
  return {
    programs: ['nginx', 'gcc', 'taskset'],
    warmUpSeconds: 0,
    async check(stage) {
      return (await checkAnswers(stage, { path: '/orders/1' })).tls
    },
    measure: (stage) => measureSlowReaders(stage, readers),
  }
}

async function measureSlowReaders({ world, peer, contestant }: Stage, readers: number): Promise<Figures> {
  const { root, client } = world.certificates
  const before = usageOf(peer.pids)
  const sockets: TLSSocket[] = []
  try {
    for (let i = 0; i < readers; i++) {
      const socket = connectTls({ port: peer.port, root, certificate: client }, HTTP1_ALPN)
      sockets.push(socket)
      await once(socket, 'secureConnect')
      socket.pause()
      socket.write(`GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    }
    let most = 0
    const deadline = performance.now() + HOLD_MS
    while (performance.now() < deadline) {
      most = Math.max(most, usageOf(peer.pids).anonymousBytes)
      await sleep(50)
    }
    // Whoever reads again gets all of it.
    const [first] = sockets
    const got = await readAll(first!)
    if (got < DOWNLOADS[PATH]) throw new VoidRound(`${contestant.name}: a slow reader got ${got} octets`)
    return { kibEach: Math.max(0, most - before.anonymousBytes) / readers / 1_024, anonymous: most / 2 ** 20 }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** Octets of an answer, its head left out. */
async function readAll(socket: TLSSocket): Promise<number> {
  let head = ''
  let octets = 0
  for await (const chunk of socket) {
    const part = chunk as Buffer
    if (octets > 0) octets += part.length
    else {
      head += part.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end !== -1) octets = head.length - end - 4
    }
    if (octets >= DOWNLOADS[PATH]) return octets
  }
  return octets
}
