import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openAdminToken, readAdminToken } from './admin-token.ts'
import { readPodOptions } from './options.ts'

const TOLD = {
  contract: 1,
  workload: 'shop/orders',
  role: 'sidecar',
  trustDomain: 'cluster.local',
  serviceAccount: 'orders',
  operator: {
    host: 'operator',
    port: 15_012,
    spiffeId: 'spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator',
  },
  probes: [],
  exclude: { inboundPorts: [], outboundPorts: [], outboundCidrs: [] },
  metrics: { allow: [], plaintext: false },
  drainSeconds: 10,
  decisionLog: 'all',
  logLevel: 'info',
}
const ENV = {
  HAUBERK_SIDECAR: JSON.stringify(TOLD),
  POD_NAME: 'orders-7d4',
  POD_NAMESPACE: 'shop',
  POD_IPS: '10.0.0.7,fd00::7',
}

describe('what a sidecar reads of its container’s variables', () => {
  it('is who it is and where it is', () => {
    const { pod, spiffeId, podIps, ports, paths } = readPodOptions(ENV)
    assert.deepEqual(
      { pod, spiffeId, podIps, admin: ports.admin, state: paths.state },
      {
        pod: 'shop/orders-7d4',
        spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders',
        podIps: ['10.0.0.7', 'fd00::7'],
        admin: 15_000,
        state: '/var/lib/hauberk',
      },
    )
  })

  const wrong: readonly (readonly [string, Readonly<Record<string, string | undefined>>, RegExp])[] = [
    ['that is missing', { HAUBERK_SIDECAR: undefined }, /HAUBERK_SIDECAR is not set/],
    ['without an address', { POD_IPS: '' }, /POD_IPS is not set/],
    ['with an address that is none', { POD_IPS: '10.0.0.7,::x' }, /POD_IPS: ::x is not an IP address/],
    ['that is no JSON', { HAUBERK_SIDECAR: '{' }, /HAUBERK_SIDECAR: is not JSON/],
    ['of another version', { HAUBERK_SIDECAR: JSON.stringify({ ...TOLD, contract: 2 }) }, /HAUBERK_SIDECAR: contract/],
    ['with a namespace that is none', { POD_NAMESPACE: '../x' }, /POD_NAMESPACE: .*RFC 1123 label/],
  ]
  for (const [what, change, message] of wrong) {
    it(`is refused where there is one ${what}`, () => {
      assert.throws(() => readPodOptions({ ...ENV, ...change }), message)
    })
  }
})

describe('the admin token', () => {
  it('T32: is made once, long and random, and only its owner reads it', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'hauberk-admin-'))
    t.after(() => rm(directory, { recursive: true }))
    assert.equal(await readAdminToken(directory), undefined)
    const token = await openAdminToken(join(directory))
    assert.match(token, /^[A-Za-z0-9_-]{43}$/)
    assert.equal((await stat(join(directory, 'admin-token'))).mode & 0o777, 0o600)
    assert.equal(await openAdminToken(directory), token)
    assert.equal(await readFile(join(directory, 'admin-token'), 'utf8'), token)

    await writeFile(join(directory, 'admin-token'), 'short')
    const other = await openAdminToken(directory)
    assert.notEqual(other, token)
    assert.equal(await readAdminToken(directory), other)
  })
})
