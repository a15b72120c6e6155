import assert from 'node:assert/strict'
import { createHash, createPrivateKey, scryptSync, timingSafeEqual } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { describeIssue } from '../../model/result.ts'
import { GENERATE_ANNOTATION } from './generate.ts'
import { makeSecrets } from './secrets.ts'

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-secrets-'))
  t.after(() => rm(directory, { recursive: true }))
  return directory
}

function secret(id: string, generate: string, rest: Partial<Resource> = {}): Resource {
  const [namespace = '', name = ''] = id.split('/')
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, annotations: { [GENERATE_ANNOTATION]: generate } },
    ...rest,
  }
}

async function everything(directory: string): Promise<Record<string, string>> {
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  const texts = files.map(async (file) => {
    const path = join(file.parentPath, file.name)
    return [path.slice(directory.length + 1), await readFile(path, 'utf8')] as const
  })
  return Object.fromEntries(await Promise.all(texts))
}

test('a password is of the length asked for, and for its owner alone', async (t) => {
  const directory = await scratch(t)
  const made = await makeSecrets([secret('a/s', 'one: {kind: password}\ntwo: {kind: password, length: 43}')], directory)
  assert.deepEqual(made, { keys: new Map([['a/s', ['one', 'two']]]), made: 2, issues: [] })
  const values = await everything(directory)
  assert.match(values['a/s/one'] ?? '', /^[A-Za-z0-9_-]{32}$/)
  assert.match(values['a/s/two'] ?? '', /^[A-Za-z0-9_-]{43}$/)
  assert.equal((await stat(join(directory, 'a/s'))).mode & 0o777, 0o700)
  assert.equal((await stat(join(directory, 'a/s/one'))).mode & 0o777, 0o600)
})

test('key sets hold one key of the right kind under its right name', async (t) => {
  const directory = await scratch(t)
  await makeSecrets([secret('a/s', 'sign: {kind: ec-p256-jwks}\nseal: {kind: aes-256-jwks}')], directory)
  const values = await everything(directory)

  const sign = JSON.parse(values['a/s/sign'] ?? '')
  assert.equal(sign.keys.length, 1)
  const { kid, alg, use, ...jwk } = sign.keys[0]
  assert.deepEqual({ kid, alg, use }, { kid: sign.active, alg: 'ES256', use: 'sig' })
  assert.equal(createPrivateKey({ key: jwk, format: 'jwk' }).asymmetricKeyDetails?.namedCurve, 'prime256v1')
  const { crv, kty, x, y } = jwk
  const thumbprint = createHash('sha256')
    .update(`{"crv":"${crv}","kty":"${kty}","x":"${x}","y":"${y}"}`)
    .digest('base64url')
  assert.equal(kid, thumbprint)

  const seal = JSON.parse(values['a/s/seal'] ?? '')
  const [key] = seal.keys
  assert.deepEqual(Object.keys(key).sort(), ['alg', 'k', 'kid', 'kty', 'use'])
  assert.deepEqual([key.kty, key.alg, key.use, key.kid], ['oct', 'A256GCM', 'enc', seal.active])
  assert.equal(Buffer.from(key.k, 'base64url').length, 32)
  assert.equal(Buffer.from(key.kid, 'base64url').length, 8)
})

test('users have a password in a key of their own, and its hash among the others', async (t) => {
  const directory = await scratch(t)
  await makeSecrets([secret('a/s', 'users.json: {kind: scrypt-users, users: [alice, bob], passwords: pw-}')], directory)
  const values = await everything(directory)
  assert.deepEqual(Object.keys(values).sort(), ['a/s/pw-alice', 'a/s/pw-bob', 'a/s/users.json'])
  const users = JSON.parse(values['a/s/users.json'] ?? '') as Record<string, string>
  for (const user of ['alice', 'bob']) {
    const password = values[`a/s/pw-${user}`] ?? ''
    assert.match(password, /^[A-Za-z0-9_-]{20}$/)
    const [, salt = '', key = ''] =
      /^\$scrypt\$ln=15,r=8,p=3\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/.exec(users[user] ?? '') ?? []
    const again = scryptSync(password, Buffer.from(salt, 'base64'), 32, { N: 2 ** 15, r: 8, p: 3, maxmem: 2 ** 26 })
    assert.ok(timingSafeEqual(again, Buffer.from(key, 'base64')))
  }
})

test('copies are equal, through any number of Secrets, and two may copy from each other', async (t) => {
  const directory = await scratch(t)
  const { issues } = await makeSecrets(
    [
      secret('a/s', 'own: {kind: password}\ntaken: {kind: copy, from: b/s, key: own}'),
      secret('b/s', 'own: {kind: value, value: "a: b"}\ntaken: {kind: copy, from: a/s, key: own}'),
      secret('c/s', 'far: {kind: copy, from: b/s, key: taken}\npassword: {kind: copy, from: c/users, key: password-x}'),
      secret('c/users', 'users: {kind: scrypt-users, users: [x]}'),
    ],
    directory,
  )
  assert.deepEqual(issues, [])
  const values = await everything(directory)
  assert.equal(values['a/s/taken'], 'a: b')
  assert.equal(values['c/s/far'], values['a/s/own'])
  assert.equal(values['c/s/password'], values['c/users/password-x'])
})

test('what is there is never made again, and what the YAML holds is written each time', async (t) => {
  const directory = await scratch(t)
  const binary = Buffer.from([0, 255, 128, 10])
  const resources = [
    secret('a/s', 'p: {kind: password}\nk: {kind: ec-p256-jwks}\nu: {kind: scrypt-users, users: [x]}'),
    secret('a/t', 'c: {kind: copy, from: a/s, key: p}\nboth: {kind: password}', {
      data: { raw: binary.toString('base64') },
      stringData: { both: 'written' },
    }),
  ]
  await makeSecrets(resources, directory)
  const first = await everything(directory)
  assert.deepEqual(await readFile(join(directory, 'a/t/raw')), binary)
  assert.equal(first['a/t/both'], 'written')

  await writeFile(join(directory, 'a/s/p'), 'changed by hand')
  await writeFile(join(directory, 'a/t/both'), 'changed by hand')
  await rm(join(directory, 'a/s/password-x'))
  const again = await makeSecrets(resources, directory)
  const { 'a/s/password-x': _gone, ...expected } = first
  assert.deepEqual(await everything(directory), { ...expected, 'a/s/p': 'changed by hand' })
  assert.equal(again.made, 0)
})

test('a generator that cannot be read is told of, and nothing at all is made', async (t) => {
  const directory = await scratch(t)
  const cases = [
    ['k: {kind: passwort}', 'k.kind is no kind of generator (write one of password, '],
    ['k: {kind: password, lenght: 9}', 'k.lenght is no option of password'],
    ['k: {kind: password, length: 7}', 'k.length is not a whole number from 8 to 1024'],
    ['k: password', 'k is not a mapping'],
    ['- k', 'is not a mapping'],
    ['../k: {kind: password}', '../k is no key of a Secret'],
    ['..: {kind: password}', '.. is no key of a Secret'],
    ['k: {kind: scrypt-users, users: []}', 'k.users is not a list of 1 to 100 different names'],
    ['k: {kind: scrypt-users, users: [a/b]}', 'k.users has a name that cannot be part of a key'],
    ['k: {kind: copy, from: nowhere, key: k}', 'k.from names no Secret (write namespace/name)'],
    ['k: {kind: copy, from: ../../etc, key: k}', 'k.from names no Secret'],
    ['k: {kind: copy, from: a/t, key: k}', 'k copies a/t/k, which is not there'],
    ['k: {kind: copy, from: a/s, key: k}', 'k copies itself, by way of others'],
    ['k: {kind: value, value: 5}', 'k.value is not a text (put it in quotes)'],
    ['k: {kind: password', 'is no YAML'],
  ] as const
  for (const [generate, told] of cases) {
    const { issues } = await makeSecrets([secret('a/s', generate), secret('a/u', 'fine: {kind: password}')], directory)
    const [first] = issues.map(describeIssue)
    assert.ok(
      first?.startsWith(`Secret/a/s: metadata.annotations["${GENERATE_ANNOTATION}"]: ${told}`),
      `${generate}: ${first}`,
    )
  }
  assert.deepEqual(await readdir(directory), [])
})
