import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import type { CompileDeps } from '../compile/compile.ts'
import { createControl } from './control.ts'
import { createIssuerKeys, REFRESH_INTERVAL_MS, REFRESH_WAIT_MS } from './keys.ts'
import { openLastGood } from './last-good.ts'
import { createRevokedTokens, TOO_MANY } from './revocations.ts'

function config(version: string, change: Partial<WorkloadConfig> = {}): WorkloadConfig {
  return {
    contract: 1,
    version,
    workload: 'shop/orders',
    role: 'sidecar',
    identity: { spiffeId: 'spiffe://mesh/ns/shop/sa/orders', trustDomain: 'mesh' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [],
    outbound: { services: [], egress: [] },
    upstreams: {},
    ...change,
  }
}

const BROKEN: Partial<WorkloadConfig> = {
  listeners: [
    {
      kind: 'inbound',
      port: 8080,
      protocol: 'tcp',
      mtls: 'Strict',
      routes: [],
      filters: { telepathy: [{ state: 'resolved', mode: 'enforce', origins: [], config: {} }] },
    },
  ],
}

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hauberk-control-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

function controlIn(path: string) {
  const clock = createManualClock()
  const keys = createIssuerKeys(clock, () => true)
  const deps: CompileDeps = {
    clock,
    keys,
    crypto: { sha256: (text) => text, importJwk: () => undefined, verify: () => false },
    count: () => {},
  }
  const revocations = createRevokedTokens({ now: clock.now })
  const taken: string[] = []
  const lastGood = openLastGood(join(path, 'last-good'), silentLog)
  const control = createControl({
    workload: 'shop/orders',
    deps,
    keys,
    revocations,
    lastGood,
    log: silentLog,
    onPipeline: (_previous, { version }) => taken.push(version),
    onEndpoints: () => {},
  })
  return { control, keys, revocations, lastGood, taken }
}

test('F12: a sidecar that starts without an operator obeys what it last obeyed', async (t) => {
  const path = await directory(t)
  const first = controlIn(path)
  first.control.accept('config', config('7'))
  first.control.accept('endpoints', { contract: 1, version: 'e', endpoints: { a: [] } })
  first.control.accept('keys', {
    contract: 1,
    version: 'k',
    issuers: { corp: { keys: [{ kty: 'EC' }], fetchedAt: 1 } },
  })
  await first.lastGood.settled()
  assert.equal((await stat(join(path, 'last-good', 'config.json'))).mode & 0o777, 0o600)

  const second = controlIn(path)
  assert.equal(await second.control.restore(), true)
  assert.deepEqual(second.control.have(), { config: '7', endpoints: 'e', keys: 'k' })
  assert.deepEqual(second.keys.keysOf('corp'), [{ kty: 'EC' }])
})

test('a config that does not compile, or is another workload’s, changes nothing', async (t) => {
  const { control, lastGood, taken } = controlIn(await directory(t))
  assert.equal(control.accept('config', config('1')).ok, true)
  const pipeline = control.pipeline()
  const broken = control.accept('config', config('2', BROKEN))
  assert.equal(!broken.ok && broken.issues[0]?.path, 'listeners[0].filters.telepathy')
  assert.equal(control.accept('config', config('3', { workload: 'shop/payments' })).ok, false)
  assert.equal(control.pipeline(), pipeline)
  assert.deepEqual(taken, ['1'])
  await lastGood.settled()
})

test('F12: what was revoked is revoked after a restart without an operator, and where nobody can read it no token counts', async (t) => {
  const path = await directory(t)
  const first = controlIn(path)
  const revocations = [{ name: 'lost', jti: 'j1' }]
  first.control.accept('revocations', { contract: 3, version: 'r1', revocations })
  await first.lastGood.settled()
  const second = controlIn(path)
  await second.control.restore()
  assert.equal(second.revocations.revokedBy({ issuer: 'corp', jti: 'j1' }), 'lost')
  assert.equal(second.control.have().revocations, 'r1')

  await writeFile(join(path, 'last-good', 'revocations.json'), '{"contract":3')
  const third = controlIn(path)
  await third.control.restore()
  assert.equal(third.revocations.revokedBy({ issuer: 'corp', jti: 'j2' }), TOO_MANY)
  // The operator sends what it has, for that is another version.
  assert.equal(third.control.have().revocations, 'unreadable')
  third.control.accept('revocations', { contract: 3, version: 'r1', revocations })
  assert.equal(third.revocations.revokedBy({ issuer: 'corp', jti: 'j2' }), undefined)
})

test('what was refused is not what a restart comes back with', async (t) => {
  const path = await directory(t)
  const first = controlIn(path)
  first.control.accept('config', config('1'))
  first.control.accept('config', config('2', BROKEN))
  await first.lastGood.settled()
  const second = controlIn(path)
  await second.control.restore()
  assert.equal(second.control.pipeline()?.version, '1')
})

test('a last good file that is damaged is left aside', async (t) => {
  const path = await directory(t)
  const first = controlIn(path)
  first.control.accept('config', config('1'))
  await first.lastGood.settled()
  const file = join(path, 'last-good', 'config.json')
  await writeFile(file, (await readFile(file, 'utf8')).slice(0, 40))
  const second = controlIn(path)
  assert.equal(await second.control.restore(), false)
  assert.equal(second.control.pipeline(), undefined)
})

test('F11: a state directory that cannot be written costs the next start, and nothing now', async (t) => {
  const path = await directory(t)
  await writeFile(join(path, 'last-good'), 'a file stands where the directory should be')
  await chmod(join(path, 'last-good'), 0o400)
  const { control, lastGood } = controlIn(path)
  assert.equal(control.accept('config', config('1')).ok, true)
  await lastGood.settled()
  assert.equal(control.pipeline()?.version, '1')
})

test('T25: a flood of unknown keys asks the operator once in 30 seconds', async () => {
  const clock = createManualClock()
  let asked = 0
  const keys = createIssuerKeys(clock, () => {
    asked += 1
    return true
  })
  keys.replace({ contract: 1, version: '1', issuers: { corp: { keys: [], fetchedAt: 0 } } })
  const waiting = Promise.all(Array.from({ length: 1_000 }, () => keys.refresh('corp')))
  assert.equal(asked, 1)
  keys.checked('corp')
  await waiting
  await keys.refresh('corp')
  assert.equal(asked, 1)
  await clock.advance(REFRESH_INTERVAL_MS)
  const again = keys.refresh('corp')
  assert.equal(asked, 2)
  await clock.advance(REFRESH_WAIT_MS)
  await again
})

test('without an operator nobody waits for keys', async () => {
  const keys = createIssuerKeys(createManualClock(), () => false)
  await keys.refresh('corp')
  await keys.refresh('corp')
})

test('keys of an issuer named like a member of Object are not found by accident', () => {
  const keys = createIssuerKeys(createManualClock(), () => false)
  assert.equal(keys.keysOf('constructor'), undefined)
  assert.equal(keys.keysOf('__proto__'), undefined)
})
