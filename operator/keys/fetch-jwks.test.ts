import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import { isBlockedAddress } from './addresses.ts'
import { fetchJwks, JwksError, MAX_JWKS_BYTES, parseJwks } from './fetch-jwks.ts'

const SIGNAL = new AbortController().signal
const KEY = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'a' }

async function answering(listener: RequestListener, use: (port: number) => Promise<void>): Promise<void> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await use((server.address() as AddressInfo).port)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

/** A mesh route whose mTLS is left out: what is tested here comes after it. */
function plain(port: number) {
  return { kind: 'mesh', connect: async () => connect(port, '127.0.0.1') } as const
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof JwksError, String(error))
    return error.reason
  }
  return 'no error'
}

test('keys come with how long they may be kept, without private and symmetric parts', async () => {
  await answering(
    (_request, response) => {
      response.setHeader('cache-control', 'public, max-age=300')
      response.end(
        JSON.stringify({
          keys: [
            { ...KEY, d: 'secret' },
            { kty: 'oct', k: 'shared' },
          ],
        }),
      )
    },
    async (port) => {
      const fetched = await fetchJwks(new URL('http://auth.identity/jwks'), plain(port), SIGNAL)
      assert.deepEqual(fetched, { keys: [KEY], maxAgeMs: 300_000 })
    },
  )
})

test('T25: a redirect is not followed', async () => {
  let asked = 0
  await answering(
    (_request, response) => {
      asked += 1
      response.writeHead(302, { location: '/elsewhere' }).end()
    },
    async (port) => {
      assert.equal(await reasonOf(fetchJwks(new URL('http://a.b/jwks'), plain(port), SIGNAL)), 'redirect')
      assert.equal(asked, 1)
    },
  )
})

test('T25: more than a megabyte is not read', async () => {
  await answering(
    (_request, response) => {
      response.end(`{"keys":[],"x":"${'a'.repeat(MAX_JWKS_BYTES)}"}`)
    },
    async (port) => {
      assert.equal(await reasonOf(fetchJwks(new URL('http://a.b/jwks'), plain(port), SIGNAL)), 'too-large')
    },
  )
})

test('T25: an issuer that drips is given two seconds', async () => {
  await answering(
    (_request, response) => {
      response.write('{"keys":')
    },
    async (port) => {
      assert.equal(await reasonOf(fetchJwks(new URL('http://a.b/jwks'), plain(port), SIGNAL)), 'timeout')
    },
  )
})

test('T25: names that resolve to this machine or to metadata are not dialled', async () => {
  for (const address of ['127.0.0.1', '169.254.169.254', '::1', '::ffff:169.254.169.254', 'fd00:ec2::254', '0.0.0.0']) {
    const route = {
      kind: 'outside',
      lookup: async () => [
        { address: '198.41.0.4', family: 4 },
        { address, family: address.includes(':') ? 6 : 4 },
      ],
    } as const
    const fetched = fetchJwks(new URL('https://idp.example.com/jwks'), route, SIGNAL)
    assert.equal(await reasonOf(fetched), 'blocked-address', address)
  }
  const literal = fetchJwks(
    new URL('https://169.254.169.254/jwks'),
    { kind: 'outside', lookup: async () => [] },
    SIGNAL,
  )
  assert.equal(await reasonOf(literal), 'blocked-address')
})

test('outside the mesh plaintext is not spoken', async () => {
  const route = { kind: 'outside', lookup: async () => [] } as const
  assert.equal(await reasonOf(fetchJwks(new URL('http://idp.example.com/jwks'), route, SIGNAL)), 'unreachable')
})

test('what is no key set is refused with its reason', () => {
  for (const text of ['', '[]', '{"keys":{}}', '{"keys":[]}', '{"keys":[{"kty":"oct","k":"x"}]}']) {
    assert.throws(
      () => parseJwks(text),
      (error: JwksError) => error.reason === 'not-a-jwks',
      text,
    )
  }
  assert.throws(() => parseJwks(JSON.stringify({ keys: Array.from({ length: 101 }, () => KEY) })), JwksError)
})

test('an address that is no address is blocked, and a company network is not', () => {
  assert.equal(isBlockedAddress('localhost'), true)
  assert.equal(isBlockedAddress('10.1.2.3'), false)
  assert.equal(isBlockedAddress('2606:4700::1111'), false)
})
