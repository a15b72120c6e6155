import { type Document, isMap, parseAllDocuments } from 'yaml'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import type { ApiKey } from '../../policies/api-key/config.ts'
import { formatKeyEntry, keyEntryName, parseKeyEntry } from '../../policies/api-key/key-entry.ts'
import { joinDocuments } from '../inject/manifest.ts'

/** One Secret of keys in a file of YAML, to be looked at and edited: what is not touched keeps its comments and its form. */
export interface SecretDocument {
  readonly namespace: string | undefined
  readonly name: string
  /** In order of their names. */
  readonly entries: readonly Entry[]
  /** False when there is an entry of this name already: that is the same key. */
  add(key: ApiKey): boolean
  remove(entry: string): void
  /** The whole file. */
  print(): string
}

export interface Entry {
  readonly name: string
  /** Undefined when it is no entry of a key. */
  readonly key: ApiKey | undefined
}

/** Finds the only Secret of a file, or the one of that name. */
export function openSecretDocument(text: string, named: string | undefined): Result<SecretDocument> {
  const documents = parseAllDocuments(text) as readonly Document[]
  const [broken] = documents.flatMap(({ errors }) => errors)
  if (broken !== undefined) return fail(issue('yaml', '', broken.message.split('\n')[0] ?? 'is no YAML'))
  const secrets = documents.filter((document) => {
    return document.get('kind') === 'Secret' && (named === undefined || document.getIn(['metadata', 'name']) === named)
  })
  const [document, ...others] = secrets
  if (document === undefined) return fail(issue('no-such-secret', '', `has no Secret${named ? ` ${named}` : ''}`))
  if (others.length > 0) return fail(issue('no-such-secret', '', 'has several Secrets: say which one by --secret'))
  return ok(secretDocument(document, documents))
}

/** A file that has nothing but an empty Secret. */
export function newSecretDocument(name: string, namespace: string | undefined): SecretDocument {
  const metadata = { name, ...(namespace !== undefined && { namespace }) }
  const text = `# Who may call, by API key. Of the keys themselves there are only hashes here.
apiVersion: v1
kind: Secret
metadata: ${JSON.stringify(metadata)}
stringData: {}
`
  const documents = parseAllDocuments(text) as readonly Document[]
  return secretDocument(documents[0] as Document, documents)
}

function secretDocument(document: Document, documents: readonly Document[]): SecretDocument {
  const namespace = document.getIn(['metadata', 'namespace'])
  return {
    namespace: typeof namespace === 'string' ? namespace : undefined,
    name: String(document.getIn(['metadata', 'name'])),
    get entries() {
      const data = Object.entries(mapAt(document, 'data')).map(([name, text]) => [name, fromBase64(text)] as const)
      const texts = new Map([...data, ...Object.entries(mapAt(document, 'stringData'))])
      return [...texts.keys()].sort().map((name): Entry => {
        const text = texts.get(name)
        const parsed = typeof text === 'string' ? parseKeyEntry(text) : undefined
        return { name, key: parsed?.ok === true ? parsed.value : undefined }
      })
    },
    add(key) {
      const name = keyEntryName(key)
      if (this.entries.some((entry) => entry.name === name)) return false
      const there = document.get('stringData', true)
      if (!isMap(there)) document.set('stringData', document.createNode({}))
      else if (there.items.length === 0) there.flow = false
      const fresh = document.get('stringData', true)
      if (isMap(fresh)) fresh.flow = false
      document.setIn(['stringData', name], formatKeyEntry(key))
      return true
    },
    remove(entry) {
      for (const field of ['data', 'stringData']) {
        const there = document.get(field, true)
        if (isMap(there) && there.has(entry)) there.delete(entry)
      }
    },
    print: () => joinDocuments(documents.map((each) => each.toString({ lineWidth: 0 }))),
  }
}

function mapAt(document: Document, field: string): Readonly<Record<string, unknown>> {
  const there = (document.toJS() as Readonly<Record<string, unknown>>)[field]
  return typeof there === 'object' && there !== null ? (there as Record<string, unknown>) : {}
}

function fromBase64(value: unknown): string | undefined {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : undefined
}
