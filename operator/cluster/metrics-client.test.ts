import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pemsOf } from '../../model/x509/bundle.ts'
import { parseCertificates } from '../../model/x509/certificate.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { openMemoryAuthority } from '../admission/testing/webhook-world.ts'
import { scriptServer } from '../kubernetes/testing/api-server.ts'
import { keepMetricsClient, metricsClientId } from './metrics-client.ts'
import { createObjectStore, until } from './testing/object-store.ts'

const PATH = '/api/v1/namespaces/hauberk-system/secrets/hauberk-metrics-client'
const HOUR_MS = 3_600_000

async function start(t: TestContext) {
  const clock = createManualClock(Date.now())
  const authority = await openMemoryAuthority(clock)
  const store = createObjectStore()
  const { client } = await scriptServer(t, store.serve)
  const spiffeId = metricsClientId(authority.trustDomain, { namespace: 'monitoring', serviceAccount: 'prometheus' })
  const ended = new AbortController()
  const keeping = keepMetricsClient({ client, authority, spiffeId, clock, log: silentLog, signal: ended.signal })
  t.after(async () => {
    ended.abort()
    await keeping
  })
  const text = (key: string) => Buffer.from(String(store.objects.get(PATH)?.data[key] ?? ''), 'base64').toString()
  const passes = async (hours: number) => {
    for (let i = 0; i < hours * 2; i++) {
      await clock.advance(HOUR_MS / 2)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  return { clock, authority, store, spiffeId, text, passes }
}

test('whoever reads metrics is given a certificate of its own, and the roots', async (t) => {
  const { authority, store, spiffeId, text, clock } = await start(t)
  await until(() => store.objects.has(PATH), 'the Secret is made')
  assert.equal(store.objects.get(PATH)?.type, 'kubernetes.io/tls')
  assert.equal(text('ca.crt'), pemsOf(authority.trustBundle()).join(''))
  const chain = parseCertificates(text('tls.crt'))
  assert.ok(chain.ok)
  const { trustDomain } = authority
  const verdict = judgeSvid(chain.value[0]?.der, { trustDomain, role: 'client', nowMs: clock.now() })
  assert.ok(verdict.ok)
  assert.equal(verdict.spiffeId, spiffeId)
  assert.match(text('tls.key'), /PRIVATE KEY/)
})

test('it is renewed in the middle of its life and not before, and made again when it is gone or somebody changed it', async (t) => {
  const { clock, store, text, passes } = await start(t)
  await until(() => store.objects.has(PATH), 'the Secret is made')
  const first = text('tls.crt')
  await passes(8)
  assert.equal(text('tls.crt'), first)
  await passes(8)
  await until(() => text('tls.crt') !== first, 'it is renewed')
  store.remove(PATH)
  await until(async () => {
    await clock.advance(60_000)
    return store.objects.has(PATH)
  }, 'it is made again')
  const { data } = store.objects.get(PATH)
  store.put(PATH, { metadata: {}, data: { ...data, 'tls.key': Buffer.from('garbage').toString('base64') } })
  await until(async () => {
    await clock.advance(60_000)
    return text('tls.key').includes('PRIVATE KEY')
  }, 'it is put right')
})
