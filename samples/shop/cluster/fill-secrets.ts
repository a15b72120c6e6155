import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeSecrets } from '../../../cli/dev/secrets.ts'
import type { Resource } from '../../../model/resource.ts'
import { describeIssue } from '../../../model/result.ts'

/** A Secret as the API server has it. */
export interface LiveSecret {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly resourceVersion: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  /** Base64 by key. */
  readonly data?: Readonly<Record<string, string>>
}

/** What is needed of an API server. */
export interface SecretApi {
  get(namespace: string, name: string): Promise<LiveSecret>
  /** Adds keys to the Secret of that version. `conflict`: it has changed since, and nothing was added. */
  add(secret: LiveSecret, data: Readonly<Record<string, string>>): Promise<'added' | 'conflict'>
}

/** Somebody else writing the same Secrets all the time is not expected. */
const MAX_ATTEMPTS = 10

/**
 * Adds to Secrets (`namespace/name`, those that are copied before those that copy) the keys that their annotations say and
 * that they do not have; a value that is there is never replaced. `directory` is private and is filled with all values.
 * Resolves with the keys that were added.
 */
export async function fillSecrets(
  names: readonly string[],
  directory: string,
  api: SecretApi,
): Promise<readonly string[]> {
  const added: string[] = []
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const secrets = await Promise.all(
      names.map((id) => {
        const [namespace = '', name = ''] = id.split('/')
        return api.get(namespace, name)
      }),
    )
    const attemptDirectory = join(directory, String(attempt))
    await writeThere(secrets, attemptDirectory)
    const { keys, issues } = await makeSecrets(secrets.map(withoutData), attemptDirectory)
    if (issues.length > 0) throw new Error(issues.map(describeIssue).join('; '))
    const result = await addMissing(secrets, keys, attemptDirectory, api)
    added.push(...result.added)
    if (result.isComplete) return added.sort()
  }
  throw new Error(`the Secrets changed ${MAX_ATTEMPTS} times while they were being filled`)
}

/** One after the other, up to the first that has changed: what is copied must be in its place before its copy is. */
async function addMissing(
  secrets: readonly LiveSecret[],
  keys: ReadonlyMap<string, readonly string[]>,
  directory: string,
  api: SecretApi,
): Promise<{ readonly added: readonly string[]; readonly isComplete: boolean }> {
  const added: string[] = []
  for (const secret of secrets) {
    const id = idOf(secret)
    const missing = (keys.get(id) ?? []).filter((key) => secret.data?.[key] === undefined)
    if (missing.length === 0) continue
    const values = await Promise.all(
      missing.map(async (key) => [key, (await readFile(join(directory, id, key))).toString('base64')]),
    )
    if ((await api.add(secret, Object.fromEntries(values))) === 'conflict') return { added, isComplete: false }
    added.push(...missing.map((key) => `${id}/${key}`))
  }
  return { added, isComplete: true }
}

/** What is there already is found there, as on a laptop, and is not made again. */
async function writeThere(secrets: readonly LiveSecret[], directory: string): Promise<void> {
  for (const secret of secrets) {
    const path = join(directory, idOf(secret))
    await mkdir(path, { recursive: true, mode: 0o700 })
    for (const [key, value] of Object.entries(secret.data ?? {})) {
      await writeFile(join(path, key), Buffer.from(value, 'base64'), { mode: 0o600 })
    }
  }
}

function withoutData({ metadata: { name, namespace, annotations = {} } }: LiveSecret): Resource {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace, annotations } }
}

function idOf({ metadata: { namespace, name } }: LiveSecret): string {
  return `${namespace}/${name}`
}
