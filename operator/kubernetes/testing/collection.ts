import type { Answer, Asked, EventStream } from './api-server.ts'

/** An object of a collection: its name in a namespace, and a value. */
export interface Item {
  readonly namespace: string
  readonly name: string
  readonly value: number
}

/** A collection that a scripted server serves: lists in pages as of one moment, watches from any moment it remembers. */
export interface Collection {
  /** What is there now, by `namespace/name`. */
  readonly items: ReadonlyMap<string, number>
  set(namespace: string, name: string, value: number): void
  remove(namespace: string, name: string): void
  /** Forgets what was before now: whoever watches or reads on from there is told 410. */
  compact(): void
  /** Answers a list or a watch. */
  serve(asked: Asked, answer: Answer): void
  /** The watches that are open. */
  readonly watches: ReadonlySet<EventStream>
  bookmark(): void
}

export function createCollection(): Collection {
  const items = new Map<string, number>()
  const versions = new Map<string, number>()
  const history: { readonly version: number; readonly type: string; readonly object: unknown }[] = []
  const snapshots = new Map<number, readonly unknown[]>()
  const watches = new Set<EventStream>()
  let version = 100
  let compactedAt = 0

  const object = (key: string, value: number, at: number) => {
    const [namespace, name] = key.split('/')
    return { metadata: { namespace, name, resourceVersion: String(at), managedFields: [{ manager: 'x' }] }, value }
  }
  const happened = (type: string, key: string, value: number) => {
    version += 1
    const event = { version, type, object: object(key, value, version) }
    history.push(event)
    for (const watch of watches) watch.send(type, event.object)
  }

  const list = ({ query }: Asked, answer: Answer) => {
    const limit = Number(query.get('limit') ?? Number.POSITIVE_INFINITY)
    const [at, from] = (query.get('continue') ?? `${version}:0`).split(':').map(Number) as [number, number]
    if (at < compactedAt) return answer.refuse(410, 'Expired')
    if (!snapshots.has(at)) {
      snapshots.set(
        at,
        [...items].sort().map(([key, value]) => object(key, value, versions.get(key) ?? 0)),
      )
    }
    const all = snapshots.get(at) ?? []
    const next = from + limit < all.length ? `${at}:${from + limit}` : ''
    answer.json(200, {
      metadata: { resourceVersion: String(at), continue: next },
      items: all.slice(from, from + limit),
    })
  }

  const watch = ({ query }: Asked, answer: Answer) => {
    const from = Number(query.get('resourceVersion'))
    const stream = answer.stream()
    if (from < compactedAt) {
      stream.send('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' })
      stream.end()
      return
    }
    for (const event of history) if (event.version > from) stream.send(event.type, event.object)
    watches.add(stream)
    answer.raw.on('close', () => watches.delete(stream))
  }

  return {
    items,
    watches,
    set(namespace, name, value) {
      const key = `${namespace}/${name}`
      const type = items.has(key) ? 'MODIFIED' : 'ADDED'
      items.set(key, value)
      versions.set(key, version + 1)
      happened(type, key, value)
    },
    remove(namespace, name) {
      const key = `${namespace}/${name}`
      const value = items.get(key)
      if (value === undefined) return
      items.delete(key)
      happened('DELETED', key, value)
    },
    compact() {
      version += 1
      compactedAt = version
      history.length = 0
      snapshots.clear()
    },
    serve(asked, answer) {
      if (asked.query.get('watch') === 'true') watch(asked, answer)
      else list(asked, answer)
    },
    bookmark() {
      version += 1
      for (const stream of watches) stream.send('BOOKMARK', { metadata: { resourceVersion: String(version) } })
    },
  }
}
