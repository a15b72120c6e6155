import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Vault } from '../world/vault.ts'
import type { MeshState } from './mesh-state.ts'

/** Takes in every secret that a local mesh keeps in its state directory at the moment. */
export async function keepStateSecrets({ directory, operator, sidecars }: MeshState, vault: Vault): Promise<void> {
  for (const { workload, placement, admin, joinTokenFile } of sidecars.values()) {
    if (placement.proxy) vault.keep(`proxy credential of ${workload}`, placement.proxy.credential.password)
    await keepFile(vault, `admin token of ${workload}`, admin.tokenFile)
    await keepFile(vault, `join token of ${workload}`, joinTokenFile)
  }
  await keepFile(vault, 'admin token of the operator', operator.admin.tokenFile)
  const secrets = join(directory, 'secrets')
  for (const file of await filesIn(secrets)) {
    const text = await readFile(file, 'utf8').catch(() => '')
    if (text.startsWith('{')) keepMembers(vault, relative(secrets, file), text)
    else vault.keep(relative(secrets, file), text)
  }
  for (const file of await filesIn(directory)) {
    if (file.endsWith('.log')) continue
    const text = await readFile(file, 'utf8').catch(() => '')
    // In JSON, the lines of PEM are one string.
    const keys = text
      .replaceAll('\\n', '\n')
      .match(/-----BEGIN[A-Z ]* PRIVATE KEY-----[^-]+-----END[A-Z ]* PRIVATE KEY-----/g)
    for (const key of keys ?? []) vault.keep(`private key in ${relative(directory, file)}`, key)
  }
}

/** Private members of JWKs, and hashes of passwords. */
function keepMembers(vault: Vault, name: string, text: string): void {
  JSON.parse(text, (key, value: unknown) => {
    const isSecret = key === 'd' || key === 'k' || (typeof value === 'string' && value.startsWith('$scrypt$'))
    if (isSecret && typeof value === 'string') vault.keep(`${name} ${key}`, value)
    return value
  })
}

async function keepFile(vault: Vault, name: string, path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => '')
  if (text !== '') vault.keep(name, text.trim())
}

async function filesIn(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
