import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { resolve } from 'node:path'
import { json } from 'node:stream/consumers'
import type { SidecarOptions } from '../../sidecar/options.ts'
import type { Answer } from '../world/answer.ts'
import type { Heard } from '../world/wire.ts'
import type { Inside, InsideAsk } from '../world/world.ts'

const CALL = resolve(import.meta.dirname, '../apps/call.ts')

/** Milliseconds that a connection has to be answered on, or closed. */
const PATIENCE_MS = 20_000

/** What an app of this workload can do on this machine: all it has is the proxy's address and its own credential. */
export function insideOf({ workload, placement: { proxy } }: SidecarOptions): Inside {
  if (proxy === undefined) throw new Error(`${workload} has no way out`)
  const { bind, credential } = proxy
  const authority = `${credential.username}:${credential.password}`
  return {
    ask: (asked) => callAsApp(asked, `http://${authority}@${bind.host}:${bind.port}`),
    dial: (host, port, bytes, patienceMs) => dialThroughProxy(bind, authority, `${host}:${port}`, bytes, patienceMs),
  }
}

/** In a process of its own, with the environment that its app has. */
async function callAsApp(asked: InsideAsk, proxyUrl: string): Promise<Answer> {
  const child = spawn(process.execPath, [CALL], {
    env: { HTTP_PROXY: proxyUrl, NO_PROXY: 'localhost,127.0.0.1,::1', NODE_USE_ENV_PROXY: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(asked))
  return (await json(child.stdout)) as Answer
}

/** A tunnel by CONNECT, and what is heard in it. What the proxy answers instead of a tunnel is heard as nothing. */
function dialThroughProxy(
  proxy: { readonly host: string; readonly port: number },
  authority: string,
  target: string,
  bytes: string,
  patienceMs = PATIENCE_MS,
): Promise<Heard> {
  return new Promise((done, fail) => {
    const connecting = request({
      ...proxy,
      method: 'CONNECT',
      path: target,
      headers: { host: target, 'proxy-authorization': `Basic ${Buffer.from(authority).toString('base64')}` },
      timeout: PATIENCE_MS,
      agent: false,
    })
    connecting.once('error', fail)
    connecting.once('response', (response) => {
      response.resume()
      done({ text: '', isClosed: true, error: `${response.statusCode}` })
    })
    connecting.once('connect', ({ statusCode }, socket, head) => {
      if (statusCode !== 200) {
        socket.destroy()
        return done({ text: '', isClosed: true, error: `${statusCode}` })
      }
      const chunks: Buffer[] = [head]
      let isOurs = false
      const patience = setTimeout(() => {
        isOurs = true
        socket.destroy()
      }, patienceMs)
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      socket.on('error', () => {})
      socket.once('close', () => {
        clearTimeout(patience)
        done({ text: Buffer.concat(chunks).toString('latin1'), isClosed: !isOurs })
      })
      socket.write(bytes, 'latin1')
    })
    connecting.end()
  })
}
