import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'
import {
  GENERATE_ANNOTATION,
  type Generator,
  hashPassword,
  isSecretKey,
  makeEncryptionKeySet,
  makePassword,
  makeSigningKeySet,
  parseGenerators,
} from './generate.ts'

/** The Secrets of the mesh, a file for each key: `DIRECTORY/NAMESPACE/NAME/KEY`. */
export interface Secrets {
  /** Keys by Secret (`namespace/name`): all that are there, whoever put them there. */
  readonly keys: ReadonlyMap<string, readonly string[]>
  /** How many values were made this time. */
  readonly made: number
  readonly issues: readonly Issue[]
}

/**
 * Writes down what Secrets hold, and makes what they say is to be made. What was made once is never made again; what the
 * YAML itself holds is written anew each time. Directories are 0700, files 0600. With any issue nothing is written.
 */
export async function makeSecrets(resources: readonly Resource[], directory: string): Promise<Secrets> {
  const issues: Issue[] = []
  const secrets = new Map(
    resources.map((resource) => {
      const { name, namespace = 'default' } = resource.metadata
      return [`${namespace}/${name}`, readSecret(resource, issues)] as const
    }),
  )
  for (const [id, { resource, recipes }] of secrets) {
    for (const key of recipes.keys()) {
      const wrong = copyTrouble(id, key, secrets)
      if (wrong !== undefined) issues.push(issueAt(resource, key, wrong))
    }
  }
  if (issues.length > 0) return { keys: new Map(), made: 0, issues }

  for (const id of secrets.keys()) await mkdir(join(directory, id), { recursive: true, mode: 0o700 })
  const made = await makeAll(secrets, directory)
  const keys = new Map<string, readonly string[]>()
  for (const id of secrets.keys()) keys.set(id, (await readdir(join(directory, id))).filter(isValue).sort())
  return { keys, made, issues: [] }
}

/** Where the value of one key comes from. */
type Recipe =
  | Exclude<Generator, { kind: 'scrypt-users' }>
  | { readonly kind: 'written'; readonly value: Buffer }
  | { readonly kind: 'users'; readonly passwordKeys: ReadonlyMap<string, string> }
  /** Made only before the hash of it is: a new one would open nothing. */
  | { readonly kind: 'user-password'; readonly length: number; readonly hashedIn: string }

interface Secret {
  readonly resource: Resource
  readonly recipes: ReadonlyMap<string, Recipe>
}

function readSecret(resource: Resource, issues: Issue[]): Secret {
  const recipes = new Map<string, Recipe>()
  const annotation = resource.metadata.annotations?.[GENERATE_ANNOTATION]
  const parsed = annotation === undefined ? undefined : parseGenerators(annotation)
  if (parsed?.ok === false) issues.push(...parsed.issues.map((found) => issueAt(resource, found.path, found)))
  for (const [key, generator] of parsed?.ok ? parsed.value : []) {
    if (generator.kind !== 'scrypt-users') {
      recipes.set(key, generator)
      continue
    }
    const { users, passwords, length } = generator
    recipes.set(key, { kind: 'users', passwordKeys: new Map(users.map((user) => [user, passwords + user])) })
    for (const user of users) recipes.set(passwords + user, { kind: 'user-password', length, hashedIn: key })
  }
  const { data = {}, stringData = {} } = resource
  const written = [
    ...Object.entries(data).map(([key, value]) => [key, fromBase64(value)] as const),
    ...Object.entries(stringData).map(([key, value]) => [key, Buffer.from(value)] as const),
  ]
  for (const [key, value] of written) {
    if (value !== undefined && isSecretKey(key)) recipes.set(key, { kind: 'written', value })
    else issues.push({ ...issue('malformed-secret', `data["${key}"]`, 'is no base64, or no key'), ...named(resource) })
  }
  return { resource, recipes }
}

function fromBase64(text: unknown): Buffer | undefined {
  if (typeof text !== 'string' || !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)) return undefined
  return Buffer.from(text, 'base64')
}

/** What is wrong with a `copy`: nothing there to copy, or a circle. */
function copyTrouble(id: string, key: string, secrets: ReadonlyMap<string, Secret>): Issue | undefined {
  const seen = new Set<string>()
  let recipe = secrets.get(id)?.recipes.get(key)
  while (recipe?.kind === 'copy') {
    const source = `${recipe.from.namespace}/${recipe.from.name}`
    const step = `${source}/${recipe.key}`
    if (seen.has(step)) return issue('malformed-generator', '', 'copies itself, by way of others')
    seen.add(step)
    const next = secrets.get(source)?.recipes.get(recipe.key)
    if (next === undefined) return issue('malformed-generator', '', `copies ${step}, which is not there`)
    recipe = next
  }
  return undefined
}

/** Key by key and each once, so that two Secrets may copy from each other. Returns how many values are new. */
async function makeAll(secrets: ReadonlyMap<string, Secret>, directory: string): Promise<number> {
  const making = new Map<string, Promise<Buffer | undefined>>()
  let made = 0

  const make = (id: string, key: string): Promise<Buffer | undefined> => {
    const step = `${id}/${key}`
    const known = making.get(step) ?? makeKey(id, key)
    making.set(step, known)
    return known
  }
  const makeKey = async (id: string, key: string): Promise<Buffer | undefined> => {
    const path = join(directory, id, key)
    const recipe = secrets.get(id)?.recipes.get(key)
    if (recipe === undefined) return undefined
    if (recipe.kind === 'written') {
      await writeFileAtomic(path, recipe.value, 0o600)
      return recipe.value
    }
    const there = await readIfThere(path)
    if (there !== undefined) return there
    const value = await freshValue(id, recipe)
    if (value === undefined) return undefined
    await writeFileAtomic(path, value, 0o600)
    made += 1
    return Buffer.from(value)
  }
  const freshValue = async (
    id: string,
    recipe: Exclude<Recipe, { kind: 'written' }>,
  ): Promise<string | Buffer | undefined> => {
    switch (recipe.kind) {
      case 'password':
        return makePassword(recipe.length)
      case 'ec-p256-jwks':
        return makeSigningKeySet()
      case 'aes-256-jwks':
        return makeEncryptionKeySet()
      case 'value':
        return recipe.value
      case 'copy':
        return make(`${recipe.from.namespace}/${recipe.from.name}`, recipe.key)
      case 'user-password': {
        const isHashed = (await readIfThere(join(directory, id, recipe.hashedIn))) !== undefined
        return isHashed ? undefined : makePassword(recipe.length)
      }
      case 'users': {
        const hashes = [...recipe.passwordKeys].map(async ([user, key]) => {
          const password = await make(id, key)
          if (password === undefined) throw new Error(`there is no password ${key} in ${id}`)
          return [user, await hashPassword(password.toString('utf8'))] as const
        })
        return JSON.stringify(Object.fromEntries(await Promise.all(hashes)))
      }
    }
  }

  await Promise.all([...secrets].flatMap(([id, { recipes }]) => [...recipes.keys()].map((key) => make(id, key))))
  return made
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** `key` is one of the annotation, with or without an option of it behind. */
function issueAt(resource: Resource, key: string, found: Issue): Issue {
  const { path: _path, ...rest } = found
  const message = key === '' ? found.message : `${key} ${found.message}`
  return { ...rest, message, path: `metadata.annotations["${GENERATE_ANNOTATION}"]`, ...named(resource) }
}

function named({ kind, metadata }: Resource): { readonly resource: string } {
  return { resource: resourceKey(kind, metadata.namespace, metadata.name) }
}

/** Not what a write that was cut short left behind. */
function isValue(name: string): boolean {
  return !/^\.[0-9a-f]{18}\.tmp$/.test(name)
}
