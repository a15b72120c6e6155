import { randomBytes, scryptSync } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeSigningKey } from '../service/key-rotation.ts'

/** A directory of files that ends with the test. */
export async function temporaryDirectory(t: { after(fn: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'shop-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

export interface AuthSecrets {
  readonly files: {
    readonly signingKeysFile: string
    readonly cookieKeyFile: string
    readonly clientSecretsDir: string
    readonly usersFile: string
  }
  readonly passwords: Readonly<Record<string, string>>
  readonly clientSecrets: Readonly<Record<'storefront' | 'warehouse', string>>
}

/** What `secrets.yaml` asks for in the namespace identity, as mounted files. */
export async function makeAuthSecrets(directory: string): Promise<AuthSecrets> {
  const files = {
    signingKeysFile: join(directory, 'jwks.json'),
    cookieKeyFile: join(directory, 'cookie-key'),
    clientSecretsDir: join(directory, 'clients'),
    usersFile: join(directory, 'users.json'),
  }
  const password = () => randomBytes(15).toString('base64url')
  const passwords = { alice: password(), bob: password() }
  const clientSecrets = { storefront: password(), warehouse: password() }
  const key = await makeSigningKey()

  await mkdir(files.clientSecretsDir)
  await writeFile(files.signingKeysFile, JSON.stringify({ active: key.kid, keys: [key] }))
  await writeFile(files.cookieKeyFile, password())
  for (const [name, secret] of Object.entries(clientSecrets))
    await writeFile(join(files.clientSecretsDir, name), secret)
  const users = Object.entries(passwords).map(([name, plain]) => [name, hashPassword(plain)])
  await writeFile(files.usersFile, JSON.stringify(Object.fromEntries(users)))
  return { files, passwords, clientSecrets }
}

/** With less work than a real one, so that tests which log in often stay fast. */
export function hashPassword(password: string, ln = 10, p = 1): string {
  const salt = randomBytes(16)
  const key = scryptSync(password, salt, 32, { N: 2 ** ln, r: 8, p, maxmem: 2 ** 26 })
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=${ln},r=8,p=${p}$${text(salt)}$${text(key)}`
}
