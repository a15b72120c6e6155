import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHealth } from '../../runtime/health.ts'
import { silentLog } from '../../runtime/log.ts'
import { startProbeServer } from './probe-server.ts'

test('the kubelet is told whether the operator lives and is ready, and nobody is told anything else', async (t) => {
  const health = createHealth()
  const condition = health.condition('webhooks', 'ready')
  const server = await startProbeServer({ host: '127.0.0.1', port: 0, health, log: silentLog })
  t.after(() => server.close())
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method })
    return [response.status, await response.text()]
  }
  assert.deepEqual(await ask('/livez'), [200, ''])
  assert.deepEqual(await ask('/readyz'), [503, 'webhooks: not yet\n'])
  condition.pass()
  assert.deepEqual(await ask('/readyz'), [200, 'webhooks: ok\n'])
  condition.fail('the operator was told to end')
  assert.deepEqual(await ask('/readyz'), [503, 'webhooks: the operator was told to end\n'])
  for (const path of ['/', '/metrics', '/status', '/readyz?x', '/healthz'])
    assert.equal((await ask(path))[0], 404, path)
  assert.equal((await ask('/readyz', 'POST'))[0], 404)
})
