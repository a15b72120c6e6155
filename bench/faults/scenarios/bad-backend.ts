import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultScenario } from '../scenario.ts'
import { startApp, startRawApp } from '../world/app.ts'
import { assertNothingLost, startLoad, tell } from '../world/load.ts'
import { openMesh } from '../world/mesh.ts'
import { responsesIn, sayTo } from '../world/raw-client.ts'

const BODY = 'x'.repeat(100)
const OK = 'HTTP/1.1 200 OK\r\n'

interface Misdeed {
  readonly answer: (socket: Socket) => void
  /** What a client may be told. 200 only together with `isCut`: then it has to see that not all of it came. */
  readonly statuses: readonly number[]
  readonly isCut?: true
  /** Part of a good answer, and only what is beyond it must never be seen. */
  readonly body?: string
}

const MISDEEDS: Readonly<Record<string, Misdeed>> = {
  'resets in the middle of a body': {
    answer: (socket) => socket.write(`${OK}Content-Length: 1000\r\n\r\n${BODY}`, () => socket.resetAndDestroy()),
    statuses: [200, 502],
    isCut: true,
  },
  'ends before the length that it told': {
    answer: (socket) => socket.end(`${OK}Content-Length: 1000\r\n\r\n${BODY}`),
    statuses: [200, 502],
    isCut: true,
  },
  'ends in the middle of its chunks': {
    answer: (socket) => socket.end(`${OK}Transfer-Encoding: chunked\r\n\r\n64\r\n${BODY}\r\n64\r\nxx`),
    statuses: [200, 502],
    isCut: true,
  },
  'sends a chunk without a size': {
    answer: (socket) =>
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n64\r\n${BODY}\r\nzz\r\nsmuggled\r\n0\r\n\r\n`),
    statuses: [200, 502],
    isCut: true,
  },
  'sends a chunk that is longer than its size': {
    answer: (socket) => socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabcsmuggled\r\n0\r\n\r\n`),
    statuses: [200, 502],
    isCut: true,
  },
  'sends more than the length that it told': {
    answer: (socket) => socket.write(`${OK}Content-Length: 100\r\n\r\n${BODY}smuggled`),
    statuses: [200],
    body: BODY,
  },
  'answers twice': {
    answer: (socket) => socket.write(`${OK}Content-Length: 100\r\n\r\n${BODY}${OK}Content-Length: 8\r\n\r\nsmuggled`),
    statuses: [200],
    body: BODY,
  },
  'answers with one interim response after the other': {
    answer: (socket) => socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(1_000)),
    statuses: [502],
  },
  'has two lengths': {
    answer: (socket) => socket.write(`${OK}Content-Length: 0\r\nContent-Length: 8\r\n\r\nsmuggled`),
    statuses: [502],
  },
  'has a length and chunks': {
    answer: (socket) => socket.write(`${OK}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nsmuggled`),
    statuses: [502],
  },
  'splits its head by an LF': {
    answer: (socket) => socket.write(`${OK}x: y\nSet-Cookie: smuggled\r\nContent-Length: 0\r\n\r\n`),
    statuses: [502],
  },
  'switches protocols that nobody asked for': {
    answer: (socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'),
    statuses: [502],
  },
  'sends a head without end': {
    answer: (socket) => socket.write(`${OK}${'x: y\r\n'.repeat(5_000)}`),
    statuses: [502],
  },
  'speaks something else': { answer: (socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'), statuses: [502] },
  'hangs up': { answer: (socket) => socket.end(), statuses: [502] },
  'resets at once': { answer: (socket) => socket.resetAndDestroy(), statuses: [502] },
}

export const badBackend: FaultScenario = {
  name: 'bad-backend',
  title:
    'F14: whatever a service sends, nobody takes a part for the whole or one answer for another, and others do not notice',
  async *run(tools) {
    const mesh = await openMesh(tools, {
      services: { app: 1, bad: 1 },
      routes: [
        { path: '/bad', service: 'bad', rule: { timeouts: { request: '2s' } } },
        { path: '/', service: 'app' },
      ],
    })
    const [good, hostile] = mesh.pods
    const names = Object.keys(MISDEEDS)
    const app = await startApp(good!.appPort)
    const bad = await startRawApp(hostile!.appPort, (text, socket) => {
      for (const [, index, id] of text.matchAll(/(?:GET|POST) \/bad\/([a-z0-9]+)\/(\S+) HTTP/g)) {
        const misdeed = MISDEEDS[names[Number(index)] ?? '']
        if (misdeed === undefined) socket.write(`${OK}Content-Length: ${id!.length}\r\n\r\n${id}`)
        else misdeed.answer(socket)
      }
      if (text.includes('/bad/early')) socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly')
    })
    const load = startLoad({ targets: () => [mesh.gateway.port], perSecond: 100, path: '/' })
    const times = tools.isShort ? 3 : 20
    const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: bad.example\r\n${more}\r\n`
    try {
      await sleep(3_000)
      const during = load.window()
      for (const [index, [name, { statuses, isCut, body }]] of Object.entries(MISDEEDS).entries()) {
        let cut = 0
        for (let time = 0; time < times; time++) {
          // On one connection: the bad one, and after it one that is answered as it should be.
          const text = get(`/bad/${index}/x`) + get(`/bad/good/after-${time}`, 'Connection: close\r\n')
          const heard = await sayTo(mesh.gateway.port, text)
          const [first, second, ...more] = responsesIn(heard)
          const shown = JSON.stringify(heard.text.slice(0, 400))
          assert.ok(!heard.text.includes('smuggled'), `${name}: ${shown}`)
          assert.equal(more.length, 0, `${name}: ${shown}`)
          if (first === undefined) {
            // Cut before anything of it came to the client: it saw a reset.
            assert.ok(isCut && heard.end !== 'open', `${name}: ${heard.end} ${shown}`)
          } else {
            assert.ok(statuses.includes(first.status), `${name}: ${shown}`)
            if (isCut && first.status === 200) {
              assert.equal(first.isWhole, false, `${name}, taken for a whole answer: ${shown}`)
              cut += 1
            }
            if (body !== undefined) assert.equal(first.body, body, name)
          }
          if (second !== undefined) assert.equal(second.body, `after-${time}`, `${name}: ${shown}`)
        }
        const what =
          cut === 0 && isCut
            ? `nothing of it came through, ${times} times`
            : isCut
              ? `${cut} of ${times} saw it cut, the others ${statuses.at(-1)}`
              : `${statuses.join(' or ')} each time`
        yield `a service that ${name}: ${what}`
      }
      const body = 'y'.repeat(200_000)
      const early = await sayTo(
        mesh.gateway.port,
        `POST /bad/early HTTP/1.1\r\nHost: bad.example\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      )
      assert.deepEqual(
        responsesIn(early).map(({ status, isWhole }) => [status, isWhole]),
        [[413, true]],
      )
      yield 'a service that answers before it has read the request: its answer arrives, and the connection ends'
      const count = await during.end()
      assertNothingLost(count, 100)
      yield `the other service meanwhile: ${tell(count)}`
    } finally {
      await load.stop()
      await mesh.close()
      await Promise.all([app.destroy(), bad.destroy()])
    }
  },
}
