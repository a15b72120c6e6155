import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { fillSecrets, type LiveSecret, type SecretApi } from './fill-secrets.ts'

const SHOP = resolve(import.meta.dirname, '..')

/** Secrets as an API server keeps them: a patch that names another version than the newest is refused. */
function secretsOf(live: Map<string, LiveSecret>, beforePatch: (id: string) => void = () => {}): SecretApi {
  return {
    get: async (namespace, name) => {
      const secret = live.get(`${namespace}/${name}`)
      assert.ok(secret)
      return secret
    },
    add: async ({ metadata }, data) => {
      const id = `${metadata.namespace}/${metadata.name}`
      beforePatch(id)
      const secret = live.get(id)
      assert.ok(secret)
      if (secret.metadata.resourceVersion !== metadata.resourceVersion) return 'conflict'
      live.set(id, changed(secret, data))
      return 'added'
    },
  }
}

function changed(secret: LiveSecret, data: Readonly<Record<string, string>>): LiveSecret {
  const resourceVersion = String(Number(secret.metadata.resourceVersion) + 1)
  return { metadata: { ...secret.metadata, resourceVersion }, data: { ...secret.data, ...data } }
}

async function shopSecrets(): Promise<Map<string, LiveSecret>> {
  const documents = parseAllDocuments(await readFile(join(SHOP, 'secrets.yaml'), 'utf8'))
  return new Map(
    documents.map((document) => {
      const { metadata } = document.toJS() as LiveSecret
      return [`${metadata.namespace}/${metadata.name}`, { metadata: { ...metadata, resourceVersion: '1' } }]
    }),
  )
}

async function temporary(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'fill-secrets-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const textOf = (live: Map<string, LiveSecret>, id: string, key: string) =>
  Buffer.from(live.get(id)?.data?.[key] ?? '', 'base64').toString()

test('the Secrets of the shop get every key that they say, and both sides of a copy have one value', async (t) => {
  const live = await shopSecrets()
  const added = await fillSecrets([...live.keys()], await temporary(t), secretsOf(live))
  assert.deepEqual(added, [
    'identity/auth-clients/storefront',
    'identity/auth-clients/warehouse',
    'identity/auth-keys/cookie-key',
    'identity/auth-keys/jwks.json',
    'identity/auth-users/password-alice',
    'identity/auth-users/password-bob',
    'identity/auth-users/password-carol',
    'identity/auth-users/users.json',
    'shop/orders-encryption/keys.json',
    'shop/storefront-client/secret',
  ])
  assert.equal(textOf(live, 'shop/storefront-client', 'secret').length, 43)
  assert.equal(textOf(live, 'shop/storefront-client', 'secret'), textOf(live, 'identity/auth-clients', 'storefront'))
})

test('what is there is never made again, and what is missing is made to fit it', async (t) => {
  const live = await shopSecrets()
  await fillSecrets([...live.keys()], await temporary(t), secretsOf(live))
  const before = new Map(live)
  assert.deepEqual(await fillSecrets([...live.keys()], await temporary(t), secretsOf(live)), [])
  assert.deepEqual(live, before)

  const copy = live.get('shop/storefront-client')
  assert.ok(copy)
  live.set('shop/storefront-client', { metadata: copy.metadata })
  assert.deepEqual(await fillSecrets([...live.keys()], await temporary(t), secretsOf(live)), [
    'shop/storefront-client/secret',
  ])
  assert.deepEqual(live.get('shop/storefront-client')?.data, copy.data)
})

test('a value that somebody else writes meanwhile wins, and is what is copied', async (t) => {
  const live = await shopSecrets()
  let meanwhile = true
  const api = secretsOf(live, (id) => {
    const secret = live.get('identity/auth-clients')
    if (!meanwhile || id !== 'identity/auth-clients' || secret === undefined) return
    meanwhile = false
    live.set('identity/auth-clients', changed(secret, { storefront: Buffer.from('theirs').toString('base64') }))
  })
  const [clients, client] = ['identity/auth-clients', 'shop/storefront-client']
  await fillSecrets([clients, client], await temporary(t), api)
  assert.equal(textOf(live, clients, 'storefront'), 'theirs')
  assert.equal(textOf(live, client, 'secret'), 'theirs')
})

test('a recipe that cannot be understood is an error that names the Secret', async (t) => {
  const metadata = { name: 'a', namespace: 'b', resourceVersion: '1', annotations: { 'hauberk.dev/generate': 'k: {}' } }
  const live = new Map<string, LiveSecret>([['b/a', { metadata }]])
  await assert.rejects(fillSecrets(['b/a'], await temporary(t), secretsOf(live)), /Secret\/b\/a/)
})
