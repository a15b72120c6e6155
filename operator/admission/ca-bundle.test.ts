import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { type Asked, scriptServer } from '../kubernetes/testing/api-server.ts'
import { keepWebhooks, WEBHOOK_CONFIGURATIONS } from './ca-bundle.ts'
import { webhookMetrics } from './metrics.ts'
import { openWebhookSecret } from './webhook-secret.ts'

const SECRET = 'ab'.repeat(32)

interface Stored {
  metadata: { name: string; resourceVersion: string }
  webhooks: { name: string; failurePolicy: string; clientConfig: Record<string, unknown> }[]
}

/** The three configurations as the chart makes them, on a server that takes JSON patches. */
async function world(t: TestContext, { isLeading = true }: { readonly isLeading?: boolean } = {}) {
  const stored = new Map<string, Stored>(
    WEBHOOK_CONFIGURATIONS.map(({ name, webhooks }) => [
      name,
      {
        metadata: { name, resourceVersion: '1' },
        webhooks: webhooks.map((webhook) => ({
          name: webhook.name,
          failurePolicy: 'Fail',
          clientConfig: { service: { namespace: 'hauberk-system', name: 'hauberk-operator', port: 443 } },
        })),
      },
    ]),
  )
  let isAway = false
  const patches: Asked[] = []
  const { client } = await scriptServer(t, (asked, answer) => {
    if (isAway) return answer.refuse(503, 'ServiceUnavailable')
    const object = stored.get(asked.path.split('/').at(-1) ?? '')
    if (object === undefined) return answer.refuse(404, 'NotFound')
    if (asked.method === 'PATCH') {
      patches.push(asked)
      const [test, ...steps] = asked.body as { op: string; path: string; value: unknown }[]
      if (test?.value !== object.metadata.resourceVersion) return answer.refuse(422, 'Invalid')
      for (const { path, value } of steps) {
        const webhook = object.webhooks[Number(path.split('/')[2])]
        if (webhook !== undefined) webhook.clientConfig = value as Record<string, unknown>
      }
      object.metadata.resourceVersion = String(Number(object.metadata.resourceVersion) + 1)
    }
    answer.json(200, object)
  })
  const clock = createManualClock()
  const metrics = createMetrics()
  const end = new AbortController()
  let bundle = ['-----BEGIN CERTIFICATE-----\nB\n', '-----BEGIN CERTIFICATE-----\nA\n']
  let leads = isLeading
  let changed = () => {}
  const keeper = keepWebhooks({
    client,
    trustBundle: () => bundle,
    onTrustChange(listener) {
      changed = listener
      return () => {}
    },
    secret: SECRET,
    isLeading: () => leads,
    clock,
    random: () => 0.5,
    log: silentLog,
    metrics: webhookMetrics(metrics),
    signal: end.signal,
  })
  t.after(async () => {
    end.abort()
    await keeper.done
  })
  const configOf = (name: string, i = 0) => stored.get(name)?.webhooks[i]?.clientConfig
  return {
    keeper,
    stored,
    patches,
    clock,
    configOf,
    metrics: () => metrics.text(),
    lead: () => (leads = true),
    away: (value: boolean) => (isAway = value),
    trust(next: string[]) {
      bundle = next
      changed()
    },
    /** Lets time pass until something holds, a second at a time. Gives the seconds that it took. */
    async after(holds: () => boolean): Promise<number> {
      for (let seconds = 0; seconds < 120; seconds++) {
        for (let i = 0; i < 20; i++) {
          if (holds()) return seconds
          await new Promise((resolve) => setTimeout(resolve, 2))
        }
        await clock.advance(1_000)
      }
      throw new Error('it did not come to that in 120 s')
    },
  }
}

const right = (webhook: string, bundle = ['A', 'B']) => ({
  service: { namespace: 'hauberk-system', name: 'hauberk-operator', port: 443, path: `/${webhook}/${SECRET}` },
  caBundle: Buffer.from(bundle.map((name) => `-----BEGIN CERTIFICATE-----\n${name}\n`).join('')).toString('base64'),
})

describe('the keeper of the webhook configurations', () => {
  it('writes path and roots into each webhook, and is ready when they are read back', async (t) => {
    const { keeper, patches, configOf, after, metrics } = await world(t)
    assert.equal(keeper.ready(), false)
    await after(() => keeper.ready())
    assert.deepEqual(configOf('hauberk-inject'), right('inject'))
    assert.deepEqual(configOf('hauberk-pods'), right('pods'))
    for (const i of [0, 1, 2]) assert.deepEqual(configOf('hauberk-admission', i), right('policies'))
    assert.equal(patches.length, 3)
    assert.deepEqual([...new Set(patches.map(({ query }) => query.get('fieldManager')))], ['hauberk-operator'])
    assert.match(await metrics(), /hauberk_webhooks_in_place 1/)
  })

  it('F21: heals what somebody changed within 60 s, and touches nothing else', async (t) => {
    const { keeper, stored, patches, configOf, after } = await world(t)
    await after(() => keeper.ready())
    const attacked = stored.get('hauberk-pods')
    assert(attacked)
    attacked.webhooks[0]!.clientConfig = { url: 'https://elsewhere.example/pods', caBundle: 'AAAA' }
    assert((await after(() => 'service' in (configOf('hauberk-pods') ?? {}))) < 60)
    assert.deepEqual(configOf('hauberk-pods'), right('pods'))
    assert.equal(attacked.webhooks[0]?.failurePolicy, 'Fail')
    assert.equal(patches.length, 4)
  })

  it('F05: writes other roots at once', async (t) => {
    const { keeper, trust, configOf, after } = await world(t)
    await after(() => keeper.ready())
    trust(['-----BEGIN CERTIFICATE-----\nC\n'])
    assert.equal(await after(() => configOf('hauberk-inject')?.['caBundle'] === right('inject', ['C']).caBundle), 0)
  })

  it('only looks where it does not lead, until it does', async (t) => {
    const { keeper, patches, clock, lead, after } = await world(t, { isLeading: false })
    for (let i = 0; i < 5; i++) {
      await clock.advance(1_000)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    assert.equal(keeper.ready(), false)
    assert.equal(patches.length, 0)
    lead()
    await after(() => keeper.ready())
  })

  it('F01: forgets nothing while the API server is away', async (t) => {
    const { keeper, clock, away, after } = await world(t)
    await after(() => keeper.ready())
    away(true)
    await clock.advance(60_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(keeper.isInPlace(), true)
  })

  it('F05: says by which roots it is believed, and not by others before they are written', async (t) => {
    const { keeper, trust, away, after } = await world(t)
    assert.deepEqual(keeper.trustBundle(), [])
    await after(() => keeper.ready())
    assert.equal(keeper.trustBundle().length, 2)
    const next = ['-----BEGIN CERTIFICATE-----\nC\n']
    away(true)
    trust(next)
    await after(() => true)
    assert.equal(keeper.trustBundle().length, 2)
    away(false)
    await after(() => keeper.trustBundle() === next)
  })

  it('stays ready, and says so, when a configuration is taken away', async (t) => {
    const { keeper, stored, after, metrics } = await world(t)
    await after(() => keeper.ready())
    stored.delete('hauberk-pods')
    await after(() => !keeper.isInPlace())
    assert.equal(keeper.ready(), true)
    assert.match(await metrics(), /hauberk_webhooks_in_place 0/)
  })

  it('is not ready where a webhook of ours is missing', async (t) => {
    const { keeper, stored, configOf, after } = await world(t)
    stored.get('hauberk-admission')?.webhooks.splice(0, 1)
    await after(() => configOf('hauberk-admission')?.['caBundle'] !== undefined)
    assert.equal(keeper.ready(), false)
  })
})

describe('the secret of the paths', () => {
  it('is made once, of 256 bits, and read by everybody after that', async (t) => {
    let secret: Record<string, unknown> | undefined
    const { client } = await scriptServer(t, ({ method, path, body }, answer) => {
      if (method === 'POST' && path === '/api/v1/namespaces/hauberk-system/secrets') {
        if (secret !== undefined) return answer.refuse(409, 'AlreadyExists')
        const { stringData, ...rest } = body as { stringData: { path: string } }
        secret = { ...rest, data: { path: Buffer.from(stringData.path).toString('base64') } }
        return answer.json(201, secret)
      }
      if (path === '/api/v1/namespaces/hauberk-system/secrets/hauberk-webhook') return answer.json(200, secret)
      answer.refuse(404, 'NotFound')
    })
    const made = await openWebhookSecret(client)
    assert.match(made, /^[0-9a-f]{64}$/)
    assert.equal(await openWebhookSecret(client), made)
    secret = { ...secret, data: { path: Buffer.from('guess').toString('base64') } }
    await assert.rejects(openWebhookSecret(client), /delete it/)
  })
})
