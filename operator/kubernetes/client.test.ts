import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { blackHole } from '../../runtime/testing/black-hole.ts'
import { type KubernetesClient, openClient } from './client.ts'
import { KubernetesError } from './errors.ts'
import { type Answer, type EventStream, kubeconfig, scriptServer } from './testing/api-server.ts'

async function failureOf(promise: Promise<unknown>): Promise<KubernetesError> {
  const error = await promise.then(
    () => assert.fail('it went well'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof KubernetesError, String(error))
  return error
}

test('an answer is parsed, and connections are used again', async (t) => {
  const { client, asked } = await scriptServer(t, (_, answer) => answer.json(200, { kind: 'Pod' }))
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(await client.request({ path: '/api/v1/pods', query: { limit: 5, none: undefined } }), {
      kind: 'Pod',
    })
  }
  assert.deepEqual([...new Set(asked.map(({ connection }) => connection))], [1])
  assert.equal(asked[0]?.query.toString(), 'limit=5')
  assert.equal(asked[0]?.headers.authorization, 'Bearer secret')
  assert.equal(asked[0]?.headers['user-agent'], 'test')
  assert.equal(client.namespace, 'here')
})

test('a body is sent as JSON under the type that was asked for', async (t) => {
  const { client, asked } = await scriptServer(t, (_, answer) => answer.json(201, {}))
  await client.request({ method: 'PATCH', path: '/x', body: { ü: 1 }, contentType: 'application/apply-patch+yaml' })
  assert.equal(asked[0]?.headers['content-type'], 'application/apply-patch+yaml')
  assert.deepEqual(asked[0]?.body, { ü: 1 })
})

test('what is no JSON is given as text, and nothing as undefined', async (t) => {
  const { client } = await scriptServer(t, ({ path }, { raw }) => {
    raw.writeHead(200, { 'content-type': 'text/plain' })
    raw.end(path === '/healthz' ? 'ok' : '')
  })
  assert.equal(await client.request({ path: '/healthz' }), 'ok')
  assert.equal(await client.request({ path: '/nothing' }), undefined)
})

test('a refusal says its status, reason and details, and how long to wait', async (t) => {
  const { client } = await scriptServer(t, ({ path }, answer) => {
    if (path === '/status') answer.refuse(429, 'TooManyRequests', { 'retry-after': '3' })
    else answer.raw.writeHead(502, { 'content-type': 'text/html', 'retry-after': 'Wed, 21 Oct' }).end('<h1>no</h1>')
  })
  const throttled = await failureOf(client.request({ path: '/status' }))
  assert.deepEqual(
    [throttled.status, throttled.reason, throttled.retryAfterMs, throttled.message],
    [429, 'TooManyRequests', 3_000, 'GET /status: refused: TooManyRequests'],
  )
  const broken = await failureOf(client.request({ path: '/proxy' }))
  assert.deepEqual(
    [broken.status, broken.reason, broken.retryAfterMs, broken.message],
    [502, 'Unknown', undefined, 'GET /proxy: 502 <h1>no</h1>'],
  )
})

test('an answer that never comes, or never ends, is an error in time', async (t) => {
  const { client } = await scriptServer(t, ({ path }, { raw }) => {
    if (path === '/half') raw.writeHead(200, { 'content-type': 'application/json' }).write('{"a":')
  })
  for (const path of ['/never', '/half']) {
    const late = await failureOf(client.request({ path, timeoutMs: 50 }))
    assert.deepEqual([late.status, late.reason], [0, 'Timeout'], path)
  }
})

test('an answer that is cut off or is no JSON is an error', async (t) => {
  const { client } = await scriptServer(t, ({ path }, { raw }) => {
    raw.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 })
    if (path === '/cut') raw.write('{"a":', () => raw.socket?.destroy())
    else raw.end(`{${' '.repeat(99)}`)
  })
  assert.equal((await failureOf(client.request({ path: '/cut' }))).reason, 'Unreachable')
  assert.equal((await failureOf(client.request({ path: '/garbage' }))).reason, 'Malformed')
})

test('nobody there is Unreachable, and the message names the place', async () => {
  const client = await openClient({
    config: { from: 'text', text: kubeconfig('http://127.0.0.1:1') },
    userAgent: 'test',
  })
  const error = await failureOf(client.request({ path: '/api' }))
  assert.equal(error.reason, 'Unreachable')
  assert.match(error.message, /GET \/api: 127\.0\.0\.1:1: .*ECONNREFUSED/)
  client.close()
})

test('F01: where a SYN is answered by nobody, requests and streams are given up long before their own time', async (t) => {
  const port = await blackHole(t)
  const client = await openClient({
    config: { from: 'text', text: kubeconfig(`http://127.0.0.1:${port}`) },
    userAgent: 'test',
    connectTimeoutMs: 50,
  })
  t.after(() => client.close())
  for (const asked of [client.request({ path: '/api' }), client.stream({ path: '/api' }, () => {})]) {
    const { reason, message } = await failureOf(asked)
    assert.deepEqual([reason, message], ['Unreachable', `GET /api: 127.0.0.1:${port}: no connection within 50 ms`])
  }
})

test('a connection that is there is not counted as late', async (t) => {
  const clock = createManualClock()
  const answers: (() => void)[] = []
  const { client } = await scriptServer(t, (_, { json }) => void answers.push(() => json(200, { ok: true })), { clock })
  const asked = client.request({ path: '/slow' })
  while (answers.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  await clock.advance(20_000)
  for (const answer of answers) answer()
  assert.deepEqual(await asked, { ok: true })
})

test('a caller who ends a request gets back its own reason', async (t) => {
  const { client } = await scriptServer(t, () => {})
  const stop = new AbortController()
  const pending = client.request({ path: '/x', signal: stop.signal })
  const reason = new Error('enough')
  stop.abort(reason)
  await assert.rejects(pending, reason)
  await assert.rejects(client.request({ path: '/x', signal: stop.signal }), reason)
})

test('a GET that meets a connection which the server was closing is sent again, a POST is not', async (t) => {
  let closing = false
  const { client, asked } = await scriptServer(t, ({ connection }, answer) => {
    if (closing && connection === 1) answer.raw.socket?.destroy()
    else answer.json(200, {})
  })
  await client.request({ path: '/a' })
  closing = true
  await client.request({ path: '/b' })
  assert.deepEqual(
    asked.map(({ path, connection }) => [path, connection]),
    [
      ['/a', 1],
      ['/b', 1],
      ['/b', 2],
    ],
  )
  const other = await scriptServer(t, ({ method }, answer) =>
    method === 'POST' ? answer.raw.socket?.destroy() : answer.json(200, {}),
  )
  await other.client.request({ path: '/a' })
  assert.equal((await failureOf(other.client.request({ method: 'POST', path: '/b', body: {} }))).reason, 'Unreachable')
  assert.equal(other.asked.length, 2)
})

test('a stream gives whole lines, whatever the chunks, and resolves at its end', async (t) => {
  const { client } = await scriptServer(t, (_, { raw }) => {
    raw.writeHead(200, { 'content-type': 'application/json' })
    const bytes = Buffer.from('{"ü":1}\n\n{"b":2}\r\n{"c":3}')
    const send = (from: number) => {
      if (from >= bytes.length) raw.end()
      else raw.write(bytes.subarray(from, from + 3), () => setImmediate(send, from + 3))
    }
    send(0)
  })
  const lines: string[] = []
  await client.stream({ path: '/watch' }, (some) => lines.push(...some))
  assert.deepEqual(lines, ['{"ü":1}', '{"b":2}', '{"c":3}'])
})

test('F24: a stream on which nothing comes any more is found, one that is cut is an error', async (t) => {
  const { client } = await scriptServer(t, ({ path }, answer) => {
    const stream = answer.stream()
    stream.write('{"a":1}\n')
    if (path === '/cut') setTimeout(() => stream.drop(), 10)
  })
  const idle = await failureOf(client.stream({ path: '/silent', idleTimeoutMs: 50 }, () => {}))
  assert.equal(idle.reason, 'Timeout')
  assert.match(idle.message, /nothing came for 50 ms/)
  assert.equal((await failureOf(client.stream({ path: '/cut' }, () => {}))).reason, 'Unreachable')
})

test('a stream that keeps coming outlives its idle timeout', async (t) => {
  const clock = createManualClock()
  let stream: EventStream | undefined
  const answer = (_: unknown, { stream: open }: Answer) => {
    stream = open()
  }
  const { client } = await scriptServer(t, answer, { clock })
  let count = 0
  const ended = client.stream({ path: '/watch', idleTimeoutMs: 150 }, (lines) => {
    count += lines.length
  })
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await until(() => stream !== undefined)
  for (let sent = 1; sent <= 12; sent++) {
    stream?.write('{}\n')
    await until(() => count === sent)
    await clock.advance(100)
  }
  stream?.end()
  await ended
  assert.equal(count, 12)
})

test('what a stream’s listener throws comes back as it is', async (t) => {
  const { client } = await scriptServer(t, (_, answer) => answer.stream().write('{}\n'))
  const own = new TypeError('mine')
  await assert.rejects(
    client.stream({ path: '/watch' }, () => {
      throw own
    }),
    own,
  )
})

test('a line without end does not fill the memory', async (t) => {
  const { client } = await scriptServer(t, (_, { raw }) => {
    raw.writeHead(200, { 'content-type': 'application/json' })
    const block = 'x'.repeat(1024 * 1024)
    const send = () => {
      if (!raw.destroyed) raw.write(block, send)
    }
    send()
  })
  assert.equal((await failureOf(client.stream({ path: '/watch' }, () => {}))).reason, 'TooLarge')
})

test('streams do not take the connections of requests', async (t) => {
  const { client } = await scriptServer(t, ({ path }, answer) =>
    path === '/watch' ? answer.stream().write('{}\n') : answer.json(200, 'ok'),
  )
  const stop = new AbortController()
  const streams = Array.from({ length: 20 }, () =>
    client.stream({ path: '/watch', signal: stop.signal }, () => {}).catch(() => {}),
  )
  assert.equal(await client.request({ path: '/x' }), 'ok')
  stop.abort()
  await Promise.all(streams)
})

test('closing the client ends what is in flight', async (t) => {
  const { client } = await scriptServer(t, () => {})
  const pending = failureOf(client.request({ path: '/x' }))
  client.close()
  assert.match((await pending).message, /the client is closed/)
})

test('a token file is read again, and over TLS only the CA of the kubeconfig is believed', async (t) => {
  const [ca, other] = [await createTestCa(), await createTestCa('other')]
  const { chain, privateKey } = await ca.issue({ uris: [], dnsNames: ['api.test'] })
  const tokens: (string | undefined)[] = []
  const server = createServer({ cert: chain, key: privateKey }, (request, response) => {
    tokens.push(request.headers.authorization)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-client-'))
  const tokenFile = join(directory, 'token')
  await writeFile(tokenFile, 'first\n')
  const open = (root: string): Promise<KubernetesClient> =>
    openClient({
      config: {
        from: 'text',
        text: JSON.stringify({
          ...JSON.parse(kubeconfig('')),
          clusters: [
            {
              name: 'test',
              cluster: {
                server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
                'tls-server-name': 'api.test',
                'certificate-authority-data': Buffer.from(root).toString('base64'),
              },
            },
          ],
          users: [{ name: 'test', user: { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } } }],
        }),
      },
      userAgent: 'test',
    })
  const [client, stranger] = [await open(ca.root), await open(other.root)]
  t.after(async () => {
    client.close()
    stranger.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await rm(directory, { recursive: true, force: true })
  })
  await client.request({ path: '/x' })
  await writeFile(tokenFile, 'second')
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 })
  await client.request({ path: '/x' })
  t.mock.timers.reset()
  assert.deepEqual(tokens, ['Bearer first', 'Bearer second'])
  assert.match((await failureOf(stranger.request({ path: '/x' }))).message, /certificate/)
  assert.equal(tokens.length, 2)
})

test('an exec plugin is asked once for all who wait, and its failure says so', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-exec-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const plugin = join(directory, 'plugin')
  const credential = JSON.stringify({ status: { token: 'from-plugin' } })
  await writeFile(plugin, `#!/bin/sh\necho x >> ${directory}/calls\nprintf '%s' '${credential}'\n`)
  await chmod(plugin, 0o755)
  const { client, asked } = await scriptServer(t, (_, answer) => answer.json(200, {}))
  const open = (command: string) =>
    openClient({ config: { from: 'text', text: kubeconfig(client.server, { exec: { command } }) }, userAgent: 'test' })
  const withPlugin = await open(plugin)
  await Promise.all([withPlugin.request({ path: '/a' }), withPlugin.request({ path: '/b' })])
  assert.deepEqual(new Set(asked.map(({ headers }) => headers.authorization)), new Set(['Bearer from-plugin']))
  assert.equal(await readFile(join(directory, 'calls'), 'utf8'), 'x\n')
  const broken = await open('/nonexistent/plugin')
  assert.equal((await failureOf(broken.request({ path: '/a' }))).reason, 'Unauthenticated')
  withPlugin.close()
  broken.close()
})

test('a kubeconfig that cannot be used is refused when it is opened', async () => {
  const open = (text: string, context?: string) =>
    openClient({ config: { from: 'text', text, context }, userAgent: 'test' })
  for (const attempt of [open('not: [yaml'), open(kubeconfig('http://127.0.0.1:1'), 'other'), open('{}')]) {
    assert.equal((await failureOf(attempt)).reason, 'Unauthenticated')
  }
})
