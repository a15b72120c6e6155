import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { watch } from 'chokidar'
import { type Resource, resourceKey } from '../../model/resource.ts'
import type { Log } from '../../runtime/log.ts'
import type { Change, Sink } from './source.ts'

/** A sink for resources whose Secrets need not say what they hold. */
export interface MadeSecrets extends Sink {
  close(): Promise<void>
}

/** Bytes of one value at most, as Kubernetes has it for a whole Secret. */
const MAX_VALUE_BYTES = 1_048_576

/**
 * Tells `sink` what Secrets hold that have no data in their YAML: on a laptop their values are made once and stand in
 * `DIRECTORY/NAMESPACE/NAME/KEY`. One that is made or changed later is told then.
 */
export function openMadeSecrets(sink: Sink, directory: string, log: Log): MadeSecrets {
  const empty = new Map<string, Resource>()

  const filled = (resource: Resource): Resource => {
    const { name, namespace = 'default' } = resource.metadata
    const data = valuesIn(join(directory, namespace, name))
    return Object.keys(data).length === 0 ? resource : { ...resource, data }
  }
  const take = (change: Change): Change => {
    if (change.type === 'removed') {
      empty.delete(resourceKey(change.ref.kind, change.ref.namespace, change.ref.name))
      return change
    }
    const { resource } = change
    if (resource.kind !== 'Secret') return change
    const key = resourceKey(resource.kind, resource.metadata.namespace, resource.metadata.name)
    empty.delete(key)
    if (resource.data !== undefined || resource.stringData !== undefined) return change
    empty.set(key, resource)
    return { type: 'set', resource: filled(resource) }
  }

  const watcher = watch(directory, {
    ignoreInitial: true,
    depth: 2,
    awaitWriteFinish: { stabilityThreshold: 60, pollInterval: 20 },
  })
  const tell = () => {
    if (empty.size > 0) sink.apply([...empty.values()].map((resource) => ({ type: 'set', resource: filled(resource) })))
  }
  watcher.on('all', tell)
  // What came before it watched, it does not tell of.
  watcher.on('ready', tell)
  watcher.on('error', (err) => log.error('values of Secrets can no longer be watched', { err }))
  return {
    apply: (changes) => sink.apply(changes.map(take)),
    synced: () => sink.synced(),
    close: () => watcher.close(),
  }
}

/** Base64, by key. What is not there, or is no file of a fitting size, is no value. */
function valuesIn(directory: string): Readonly<Record<string, string>> {
  const data: Record<string, string> = {}
  for (const key of namesIn(directory)) {
    try {
      const value = readFileSync(join(directory, key))
      if (value.length <= MAX_VALUE_BYTES) data[key] = value.toString('base64')
    } catch {
      // Gone since, or a directory.
    }
  }
  return data
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).filter((name) => KEY.test(name))
  } catch {
    return []
  }
}

/** A key of a Secret; a value that is just written begins with a dot. */
const KEY = /^[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}$/
