import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { startAdminServer } from '../../runtime/admin-server.ts'
import { createHealth } from '../../runtime/health.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import { askAdmin } from './ask-admin.ts'

const TOKEN = 'the-token-of-this-test'

/** An API server that has the Secret of the admin token, or says why not. */
function clientWith(answer: { readonly token: string } | KubernetesError): KubernetesClient {
  const refuse = () => Promise.reject(new Error('not asked in this test'))
  return {
    server: 'https://127.0.0.1',
    namespace: undefined,
    request: <T>({ path }: { readonly path: string }) => {
      assert.equal(path, '/api/v1/namespaces/hauberk-system/secrets/hauberk-admin')
      if (answer instanceof KubernetesError) return Promise.reject(answer)
      return Promise.resolve({ data: { token: Buffer.from(answer.token).toString('base64') } } as T)
    },
    stream: refuse,
    close() {},
  }
}

async function operatorOf(t: TestContext): Promise<number> {
  const server = await startAdminServer({
    port: 0,
    token: TOKEN,
    metrics: createMetrics(),
    health: createHealth(),
    routes: [{ method: 'GET', path: '/status', handle: () => ({ body: '{"workloads":[]}' }) }],
    log: silentLog,
  })
  t.after(() => server.close())
  return server.port
}

async function ask(path: string, client: KubernetesClient, port: number) {
  const [out, err] = [new PassThrough(), new PassThrough()]
  const exitCode = await askAdmin(path, { client, port, out, err })
  out.end()
  err.end()
  return { exitCode, out: await text(out), err: await text(err) }
}

test('whoever may run programs beside an operator is told what it says, with the token of its Secret', async (t) => {
  const port = await operatorOf(t)
  const answer = await ask('/status', clientWith({ token: TOKEN }), port)
  assert.deepEqual(answer, { exitCode: 0, out: '{"workloads":[]}', err: '' })
})

test('a path that is none, and a token that is another, end with 1 and print nothing as an answer', async (t) => {
  const port = await operatorOf(t)
  for (const [path, token] of [
    ['/nothing', TOKEN],
    ['/status', 'another'],
  ] as const) {
    const { exitCode, out } = await ask(path, clientWith({ token }), port)
    assert.equal(exitCode, 1)
    assert.equal(out, '')
  }
})

test('without the Secret no operator has run', async (t) => {
  const port = await operatorOf(t)
  const none = new KubernetesError({ status: 404, reason: 'NotFound', message: 'not found' })
  await assert.rejects(ask('/status', clientWith(none), port), /no operator has run here/)
})
