import { generateKeyPairSync, sign } from 'node:crypto'
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const SMALL = join(import.meta.dirname, 'small')

/** The files of a small mesh in a directory of their own, and a key that its token issuer publishes. */
export interface SmallFiles {
  /** What `-f` names. */
  readonly directory: string
  readonly stateDirectory: string
  /** A token that the mesh takes for an hour. */
  readonly token: string
  /** Writes a file beside its place and moves it there, as careful editors do. */
  save(name: string, yaml: string): Promise<void>
  read(name: string): Promise<string>
  remove(name: string): Promise<void>
  cleanUp(): Promise<void>
}

export async function copySmallFiles(): Promise<SmallFiles> {
  const top = await mkdtemp(join(tmpdir(), 'hauberk-small-'))
  const directory = join(top, 'k8s')
  await cp(SMALL, directory, { recursive: true })
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }
  const issuer = {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'TokenIssuer',
    metadata: { name: 'small' },
    spec: {
      issuer: 'https://small.example',
      audiences: ['small'],
      algorithms: ['ES256'],
      jwks: { inline: { keys: [jwk] } },
    },
  }
  await writeFile(join(directory, 'issuer.json'), JSON.stringify(issuer))
  const nowSeconds = Math.floor(Date.now() / 1_000)
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: 'https://small.example', aud: 'small', sub: 'ann', iat: nowSeconds, exp: nowSeconds + 3_600 }
  const signed = `${encode({ alg: 'ES256', kid: 'k1', typ: 'at+jwt' })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  const path = (name: string) => join(directory, name)
  return {
    directory,
    stateDirectory: join(top, '.hauberk'),
    token: `${signed}.${signature.toString('base64url')}`,
    async save(name, yaml) {
      await writeFile(path(`${name}.new`), yaml)
      await rename(path(`${name}.new`), path(name))
    },
    read: (name) => readFile(path(name), 'utf8'),
    remove: (name) => rm(path(name)),
    cleanUp: () => rm(top, { recursive: true, force: true }),
  }
}

export interface Answer {
  /** 0: there was none. */
  readonly status: number
  readonly body: string
}

/** A request to the gateway, on a connection of its own. */
export function ask(
  gateway: { readonly httpsPort: number; readonly ca: string },
  path: string,
  { method = 'GET', token }: { readonly method?: string; readonly token?: string } = {},
): Promise<Answer> {
  return new Promise((resolve) => {
    const headers = {
      host: `small.localhost:${gateway.httpsPort}`,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    }
    const { httpsPort: port, ca } = gateway
    const options = {
      host: '127.0.0.1',
      port,
      servername: 'small.localhost',
      ca,
      path,
      method,
      headers,
      agent: false,
      timeout: 30_000,
    }
    const asking = request(options, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, body }),
        () => resolve({ status: 0, body: '' }),
      )
    })
    asking.on('timeout', () => asking.destroy())
    asking.on('error', (error) => resolve({ status: 0, body: error.message }))
    asking.end()
  })
}

/** Waits for something that is to become so; rejects when it did not within `withinMs`. */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  withinMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
