import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../../serve/testing/backend.ts'

/** Why tests of a real Redis are skipped here; false: they are not. */
export const NO_REDIS: string | false =
  spawnSync('redis-server', ['--version']).error === undefined
    ? false
    : 'there is no redis-server here (Debian: apt-get install redis-server)'

/** Milliseconds until a server answers. */
const START_MS = 30_000

/** A Redis that a test owns, on loopback, with nothing kept on disk. */
export interface TestRedis {
  readonly port: number
  /** As a process that is killed: it says nothing to anybody. */
  kill(): Promise<void>
  /** On the same port, with nothing in it. */
  start(): Promise<void>
  /** What it answers to one command, in its own form without its mark. */
  ask(...words: readonly string[]): Promise<string>
  pause(): void
  resume(): void
}

export async function startRedis(t: TestContext): Promise<TestRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-redis-'))
  const port = await freePort()
  let server: ChildProcess | undefined
  const start = async () => {
    const words = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    server = spawn('redis-server', [...words, '--dir', directory], { stdio: 'ignore' })
    await whenListening(port)
  }
  const kill = async () => {
    const last = server
    server = undefined
    if (last === undefined || last.exitCode !== null) return
    const gone = once(last, 'exit')
    last.kill('SIGKILL')
    await gone
  }
  t.after(async () => {
    await kill()
    await rm(directory, { recursive: true, force: true })
  })
  await start()
  return {
    port,
    kill,
    start,
    ask: (...words) => ask(port, words),
    pause: () => server?.kill('SIGSTOP'),
    resume: () => server?.kill('SIGCONT'),
  }
}

/** A command in one line, and an answer in one or two: there is no need for a client here. */
function ask(port: number, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${words.join(' ')}\r\n`))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('no answer')))
    socket.once('data', (data) => {
      const [first = '', second] = data.toString().split('\r\n')
      resolve(first.startsWith('$') ? (second ?? '') : first.slice(1))
      socket.destroy()
    })
  })
}

async function whenListening(port: number): Promise<void> {
  const deadline = Date.now() + START_MS
  while (Date.now() < deadline) {
    if ((await ask(port, ['PING']).catch(() => '')) === 'PONG') return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('redis-server does not answer')
}
