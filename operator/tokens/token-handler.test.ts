import assert from 'node:assert/strict'
import { request } from 'node:https'
import { describe, it, type TestContext } from 'node:test'
import {
  MAX_TOKEN_REQUEST_BYTES,
  TOKEN_EXCHANGE,
  TOKEN_KEYS_PATH,
  TOKEN_PATH,
  TXN_TOKEN,
  UNSIGNED_JSON,
} from '../../contract/internal-token.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../model/spiffe-id.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { openAuthority } from '../identity/authority.ts'
import { createRequestLimit } from '../identity/request-limit.ts'
import { issueServerIdentity } from '../identity/server-identity.ts'
import type { Push } from '../push/push.ts'
import { startMeshServer } from '../serve/mesh-server.ts'
import { NO_GRANT } from './grants.ts'
import { openSigningKeys } from './signing-keys.ts'
import { memoryStore } from './testing/memory-store.ts'
import { createTokenHandler, tokenMetrics } from './token-handler.ts'
import { createTokenService } from './token-service.ts'

const trustDomain = value(parseTrustDomain('cluster.local'))
const OPERATOR = idOf('hauberk-system', 'hauberk-operator')
const ORDERS = idOf('shop', 'orders')
const STRANGER = idOf('shop', 'stranger')

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

function idOf(namespace: string, name: string): SpiffeId {
  return value(parseSpiffeId(`spiffe://cluster.local/ns/${namespace}/sa/${name}`))
}

/** An operator's server with a token service, over mTLS; `burst` requests of a caller are let through. */
async function world(t: TestContext, burst = 100) {
  const clock = systemClock
  const log = silentLog
  const authority = await openAuthority({ store: memoryStore(), trustDomain, clock, log })
  const keys = await openSigningKeys({ store: memoryStore(), clock, log, onChange() {} })
  const sessions: Pick<Push, 'accept' | 'close'> = { accept() {}, close() {} }
  const identity = await issueServerIdentity(authority, OPERATOR)
  const service = createTokenService({
    trustDomain,
    keys,
    issuerKeys: { keysOf: () => undefined, refresh: async () => {} },
    keysGeneration: () => 1,
    grantOf: (caller) => (caller === ORDERS ? { exchanges: [], relays: [{ ttlSeconds: 300 }] } : NO_GRANT),
    clock,
  })
  const metrics = createMetrics()
  const server = await startMeshServer({
    ...{
      host: '127.0.0.1',
      port: 0,
      identity,
      trustDomain,
      authority,
      certificates: async () => {},
      push: sessions,
      clock,
      log,
    },
    tokens: createTokenHandler({
      ...{ service, published: keys.published, trustDomain, clock, log, metrics: tokenMetrics(metrics) },
      isWanted: (spiffeId) => spiffeId === ORDERS,
      limit: createRequestLimit({ clock, burst, intervalMs: 3_600_000 }),
    }),
  })
  t.after(async () => {
    keys.close()
    await server.close()
  })
  const send = async (
    caller: SpiffeId | undefined,
    { method = 'POST', path = TOKEN_PATH, type = 'application/x-www-form-urlencoded', body = '' } = {},
  ) => {
    const own = caller === undefined ? undefined : await issueServerIdentity(authority, caller)
    return new Promise<{ readonly status: number; readonly said: Record<string, unknown> }>((resolve, reject) => {
      const call = request({
        ...{ host: '127.0.0.1', port: server.port, method, path, agent: false, servername: '' },
        ...{ ca: [...identity.trustBundle], checkServerIdentity: () => undefined },
        ...(own && { key: own.privateKey, cert: own.chain }),
        headers: { 'content-type': type, 'content-length': Buffer.byteLength(body) },
      })
      call.once('error', reject)
      call.once('response', async (response) => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk)
        resolve({ status: response.statusCode ?? 0, said: JSON.parse(Buffer.concat(chunks).toString()) })
      })
      call.end(body)
    })
  }
  return { send, keys, metrics }
}

function ownToken(caller: SpiffeId): { readonly body: string } {
  const form = {
    grant_type: TOKEN_EXCHANGE,
    requested_token_type: TXN_TOKEN,
    audience: 'cluster.local',
    subject_token: JSON.stringify({ sub: caller }),
    subject_token_type: UNSIGNED_JSON,
  }
  return { body: new URLSearchParams(form).toString() }
}

describe('the token service on the mesh server', () => {
  it('T26: knows the caller by its certificate alone, and gives nothing without one or to somebody unknown', async (t) => {
    const { send, metrics } = await world(t)
    const { status, said } = await send(ORDERS, ownToken(ORDERS))
    assert.equal(status, 200, JSON.stringify(said))
    assert.deepEqual([said['issued_token_type'], said['token_type'], said['expires_in']], [TXN_TOKEN, 'N_A', 120])
    const [, payload = ''] = String(said['access_token']).split('.')
    assert.equal(JSON.parse(Buffer.from(payload, 'base64url').toString()).req_wl, ORDERS)

    const none = await send(undefined, ownToken(ORDERS))
    assert.deepEqual([none.status, none.said['error']], [401, 'invalid_client'])
    const stranger = await send(STRANGER, ownToken(STRANGER))
    assert.deepEqual([stranger.status, stranger.said['error_description']], [401, 'no-such-workload'])
    const other = await send(ORDERS, ownToken(STRANGER))
    assert.deepEqual([other.status, other.said['error_description']], [400, 'subject-is-not-the-caller'])
    assert.match(await metrics.text(), /hauberk_internal_tokens_issued_total\{subject="workload"\} 1/)
  })

  it('refuses what is no form, too long, or too often', async (t) => {
    const { send } = await world(t, 3)
    assert.equal((await send(ORDERS, { method: 'GET' })).status, 405)
    assert.equal((await send(ORDERS, { type: 'application/json', body: '{}' })).status, 415)
    assert.equal((await send(ORDERS, { body: 'a'.repeat(MAX_TOKEN_REQUEST_BYTES + 1) })).status, 413)
    assert.equal((await send(ORDERS, { body: 'grant_type=x' })).status, 400)
    assert.equal((await send(ORDERS, ownToken(ORDERS))).status, 200)
    const often = await send(ORDERS, ownToken(ORDERS))
    assert.deepEqual([often.status, often.said['error']], [429, 'temporarily_unavailable'])
  })

  it('publishes its keys to anybody', async (t) => {
    const { send, keys } = await world(t)
    const { status, said } = await send(undefined, { method: 'GET', path: TOKEN_KEYS_PATH })
    assert.equal(status, 200)
    assert.deepEqual(said, { keys: keys.published().keys })
  })
})
