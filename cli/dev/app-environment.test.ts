import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { type AppEnvironmentOptions, appEnvironment } from './app-environment.ts'

const HOSTS = ['orders-db', 'orders-db.shop', 'orders-db.shop.svc', 'orders-db.shop.svc.cluster.local']

function environment(env: Record<string, string>, options: Partial<AppEnvironmentOptions> = {}) {
  return appEnvironment({
    env,
    inherited: { PATH: '/bin', LANG: 'C' },
    port: 20_001,
    proxy: 'http://w:secret@127.0.0.1:20002',
    mounts: [
      { mountPath: '/var/run/secrets/shop', path: '/state/all' },
      { mountPath: '/var/run/secrets/shop/db', path: '/state/db' },
    ],
    tcpPeers: [{ hosts: HOSTS, port: 5432, localPort: 20_003 }],
    ...options,
  })
}

test('an app gets what its container says, what hauberk sets, and four variables of the user', () => {
  assert.deepEqual(environment({ ISSUER: 'https://a', PATH: '/usr/bin' }), {
    PATH: '/usr/bin',
    LANG: 'C',
    ISSUER: 'https://a',
    HOST: '127.0.0.1',
    PORT: '20001',
    HTTP_PROXY: 'http://w:secret@127.0.0.1:20002',
    HTTPS_PROXY: 'http://w:secret@127.0.0.1:20002',
    NO_PROXY: 'localhost,127.0.0.1,::1',
    http_proxy: 'http://w:secret@127.0.0.1:20002',
    https_proxy: 'http://w:secret@127.0.0.1:20002',
    no_proxy: 'localhost,127.0.0.1,::1',
    NODE_USE_ENV_PROXY: '1',
  })
})

test('what hauberk sets wins over the container, or the app would go around its sidecar', () => {
  const env = environment({
    HTTP_PROXY: 'http://evil',
    http_proxy: 'http://evil',
    NO_PROXY: '*',
    PORT: '80',
    HOST: '0.0.0.0',
    NODE_USE_ENV_PROXY: '0',
  })
  assert.deepEqual(
    [env['HTTP_PROXY'], env['http_proxy'], env['NO_PROXY'], env['PORT'], env['HOST'], env['NODE_USE_ENV_PROXY']],
    [
      'http://w:secret@127.0.0.1:20002',
      'http://w:secret@127.0.0.1:20002',
      'localhost,127.0.0.1,::1',
      '20001',
      '127.0.0.1',
      '1',
    ],
  )
})

test('a mounted path is the local one, the closest mount counting, and others stay as they are', () => {
  const env = environment({
    whole: '/var/run/secrets/shop/db',
    below: '/var/run/secrets/shop/db/password',
    other: '/var/run/secrets/shop/other/x',
    longer: '/var/run/secrets/shop/dbx',
    outside: '/var/run/secrets/elsewhere',
    within: 'file:/var/run/secrets/shop/db/password',
  })
  assert.equal(env['whole'], '/state/db')
  assert.equal(env['below'], '/state/db/password')
  assert.equal(env['other'], '/state/all/other/x')
  assert.equal(env['longer'], '/state/all/dbx')
  assert.equal(env['outside'], '/var/run/secrets/elsewhere')
  assert.equal(env['within'], 'file:/var/run/secrets/shop/db/password')
})

test('a TCP peer is replaced by any of its names, wherever it stands in a value', () => {
  for (const host of HOSTS) {
    assert.equal(
      environment({ url: `postgres://orders@${host}:5432/orders` })['url'],
      'postgres://orders@127.0.0.1:20003/orders',
    )
    assert.equal(environment({ list: `${host}:5432,${host}:5432` })['list'], '127.0.0.1:20003,127.0.0.1:20003')
  }
})

test('what only looks like a TCP peer stays', () => {
  for (const value of [
    'my-orders-db:5432',
    'orders-db:54321',
    'orders-db:543',
    'orders-db.other:5432',
    'x.orders-db:5432',
    'orders-db',
    '5432',
  ]) {
    assert.equal(environment({ value })['value'], value)
  }
})

test('any value without a peer or a mount goes through unchanged', () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      fc.pre(!value.includes('5432') && !value.startsWith('/'))
      assert.equal(environment({ value })['value'], value)
    }),
  )
})

test('an app without a port is not told one', () => {
  const { port: _, ...rest } = {
    env: {},
    inherited: {},
    port: 1,
    proxy: 'http://p',
    mounts: [],
    tcpPeers: [],
  }
  assert.equal(appEnvironment(rest)['PORT'], undefined)
})
