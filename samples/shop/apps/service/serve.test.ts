import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '../testing/eventually.ts'
import { serve } from './serve.ts'

test('a stop refuses new connections and lets the request under way finish', async () => {
  let answer: () => void = () => {}
  const running = await serve(
    (_req, res) => {
      answer = () => res.end('done')
    },
    { host: '127.0.0.1', port: 0 },
  )

  const agent = new Agent({ keepAlive: true })
  const responding = new Promise<string>((resolve, reject) => {
    request(running.url, { agent }, (response) => {
      response.setEncoding('utf8')
      response.on('data', resolve)
    })
      .on('error', reject)
      .end()
  })
  const arrived = answer
  await eventually(() => assert.notEqual(answer, arrived))

  const stopped = running.stop()
  const { hostname, port } = new URL(running.url)
  await eventually(async () => {
    const [error] = (await once(connect(Number(port), hostname), 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNREFUSED')
  })
  answer()
  assert.equal(await responding, 'done')
  await stopped
  agent.destroy()
})

test('a service says when it serves, and ends with 0 on SIGTERM', async () => {
  const main = fileURLToPath(new URL('../catalog/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], {
    env: { HOST: '127.0.0.1', PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await servingAt(child)
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('a service that lacks its environment says which variable and ends with 1', async () => {
  const main = fileURLToPath(new URL('../auth/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], { env: {}, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  assert.deepEqual(await once(child, 'exit'), [1, null])
  assert.match(said, /ISSUER is missing/)
})

async function servingAt(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stdout ?? []) {
    text += chunk
    for (const line of text.split('\n').slice(0, -1)) {
      const event = JSON.parse(line) as { message: string; url?: string }
      if (event.message === 'serving') return event.url ?? ''
    }
  }
  throw new Error(`the service ended without serving: ${text}`)
}
