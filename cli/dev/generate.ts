import { createHash, generateKeyPairSync, randomBytes, scrypt } from 'node:crypto'
import { parse } from 'yaml'
import { fail, type Issue, issue, ok, type Result } from '../../model/result.ts'

/** On a Secret without data: how the value of each key is made, as YAML `KEY: {kind: KIND, ...}`. */
export const GENERATE_ANNOTATION = 'hauberk.dev/generate'

/** How one value is made. */
export type Generator =
  | { readonly kind: 'password'; readonly length: number }
  | { readonly kind: 'ec-p256-jwks' }
  | { readonly kind: 'aes-256-jwks' }
  | {
      readonly kind: 'scrypt-users'
      readonly users: readonly string[]
      readonly passwords: string
      readonly length: number
    }
  | {
      readonly kind: 'copy'
      readonly from: { readonly namespace: string; readonly name: string }
      readonly key: string
    }
  | { readonly kind: 'value'; readonly value: string }

/** What a key of a Secret may be called: it becomes the name of a file. */
const KEY = /^(?!\.{1,2}$)[-._a-zA-Z0-9]{1,253}$/
const SECRET_NAME = /^([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/([a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?)$/
const MIN_PASSWORD = 8
const MAX_PASSWORD = 1_024
const MAX_USERS = 100

/** Whether a Secret may have a key of that name. */
export function isSecretKey(key: string): boolean {
  return KEY.test(key)
}

/** Reads the annotation. Paths of issues are keys of it. */
export function parseGenerators(text: string): Result<ReadonlyMap<string, Generator>> {
  let written: unknown
  try {
    written = parse(text)
  } catch (error) {
    return fail(issue('malformed-generator', '', `is no YAML: ${(error as Error).message.split('\n', 1)[0]}`))
  }
  if (!isRecord(written)) return fail(issue('malformed-generator', '', 'is not a mapping', EXAMPLE))
  const generators = new Map<string, Generator>()
  const issues: Issue[] = []
  for (const [key, value] of Object.entries(written)) {
    if (!isSecretKey(key)) {
      issues.push(issue('malformed-generator', key, 'is no key of a Secret', 'use letters, digits, -, _ and .'))
      continue
    }
    const read = readGenerator(value)
    if (read.ok) generators.set(key, read.value)
    else
      issues.push(...read.issues.map((found) => ({ ...found, path: found.path === '' ? key : `${key}.${found.path}` })))
  }
  return issues.length > 0 ? fail(...issues) : ok(generators)
}

const EXAMPLE = "write 'KEY: {kind: password}'"

/** The options of each kind. */
const OPTIONS: Readonly<Record<Generator['kind'], readonly string[]>> = {
  password: ['length'],
  'ec-p256-jwks': [],
  'aes-256-jwks': [],
  'scrypt-users': ['users', 'passwords', 'length'],
  copy: ['from', 'key'],
  value: ['value'],
}

function readGenerator(written: unknown): Result<Generator> {
  if (!isRecord(written)) return wrong('', 'is not a mapping', EXAMPLE)
  const { kind } = written
  if (typeof kind !== 'string' || !Object.hasOwn(OPTIONS, kind)) {
    return wrong('kind', 'is no kind of generator', `write one of ${Object.keys(OPTIONS).join(', ')}`)
  }
  const options = OPTIONS[kind as Generator['kind']]
  const unknown = Object.keys(written).find((name) => name !== 'kind' && !options.includes(name))
  if (unknown !== undefined) return wrong(unknown, `is no option of ${kind}`)
  switch (kind as Generator['kind']) {
    case 'password': {
      const { length = 32 } = written
      return isLength(length) ? ok({ kind: 'password', length }) : wrongLength()
    }
    case 'ec-p256-jwks':
      return ok({ kind: 'ec-p256-jwks' })
    case 'aes-256-jwks':
      return ok({ kind: 'aes-256-jwks' })
    case 'scrypt-users': {
      const { users, passwords = 'password-', length = 20 } = written
      if (
        !Array.isArray(users) ||
        users.length === 0 ||
        users.length > MAX_USERS ||
        new Set(users).size < users.length
      ) {
        return wrong('users', `is not a list of 1 to ${MAX_USERS} different names`)
      }
      if (
        typeof passwords !== 'string' ||
        !users.every((user) => typeof user === 'string' && isSecretKey(passwords + user))
      ) {
        return wrong('users', 'has a name that cannot be part of a key', 'use letters, digits, -, _ and .')
      }
      return isLength(length) ? ok({ kind: 'scrypt-users', users, passwords, length }) : wrongLength()
    }
    case 'copy': {
      const { from, key } = written
      const [, namespace, name] = (typeof from === 'string' && SECRET_NAME.exec(from)) || []
      if (namespace === undefined || name === undefined) return wrong('from', 'names no Secret', 'write namespace/name')
      if (typeof key !== 'string' || !isSecretKey(key)) return wrong('key', 'is no key of a Secret')
      return ok({ kind: 'copy', from: { namespace, name }, key })
    }
    case 'value': {
      const { value } = written
      return typeof value === 'string'
        ? ok({ kind: 'value', value })
        : wrong('value', 'is not a text', 'put it in quotes')
    }
  }
}

function wrong(path: string, message: string, fix?: string): Result<never> {
  return fail(issue('malformed-generator', path, message, fix))
}

function wrongLength(): Result<never> {
  return wrong('length', `is not a whole number from ${MIN_PASSWORD} to ${MAX_PASSWORD}`)
}

function isLength(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= MIN_PASSWORD && value <= MAX_PASSWORD
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** That many characters of base64url: 6 bits each. */
export function makePassword(length: number): string {
  return randomBytes(Math.ceil((length * 3) / 4))
    .toString('base64url')
    .slice(0, length)
}

/** A key set with one private P-256 key for ES256, named by its RFC 7638 thumbprint. */
export function makeSigningKeySet(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { crv, d, kty, x, y } = privateKey.export({ format: 'jwk' })
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
  return JSON.stringify({ active: kid, keys: [{ kty, crv, x, y, d, kid, alg: 'ES256', use: 'sig' }] })
}

/** A key set with one AES-256-GCM key. Its name is random: one made from the key would say something about it. */
export function makeEncryptionKeySet(): string {
  const kid = randomBytes(8).toString('base64url')
  const k = randomBytes(32).toString('base64url')
  return JSON.stringify({ active: kid, keys: [{ kty: 'oct', k, kid, alg: 'A256GCM', use: 'enc' }] })
}

/** `$scrypt$ln=15,r=8,p=3$SALT$KEY`: 16 bytes of salt, 32 of key. Takes 32 MiB while it runs. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await new Promise<Buffer>((resolve, reject) => {
    scrypt(password, salt, 32, { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 1024 * 1024 }, (error, derived) =>
      error === null ? resolve(derived) : reject(error),
    )
  })
  return `$scrypt$ln=15,r=8,p=3$${unpadded(salt)}$${unpadded(key)}`
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
