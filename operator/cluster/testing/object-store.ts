import { recordOf } from '../../kubernetes/object.ts'
import type { Answer, Asked, EventStream } from '../../kubernetes/testing/api-server.ts'

// biome-ignore lint/suspicious/noExplicitAny: whatever path a test looks at.
type Tree = any

/**
 * Objects that a scripted server keeps by path: made once, read, applied over, listed and watched. What a real API server
 * does besides, it does not; claims rest on one.
 */
export interface ObjectStore {
  /** By path. */
  readonly objects: ReadonlyMap<string, Tree>
  put(path: string, object: Tree): void
  remove(path: string): void
  serve(asked: Asked, answer: Answer): void
}

export function createObjectStore(): ObjectStore {
  const objects = new Map<string, Tree>()
  const watches = new Map<EventStream, string>()
  let version = 1

  const nameOf = (path: string) => path.split('/').at(-1) ?? ''
  const isIn = (collection: string, path: string) => {
    const plural = nameOf(collection)
    return path.split('/').at(-2) === plural
  }
  const tell = (type: string, path: string, object: Tree) => {
    for (const [stream, collection] of watches) if (isIn(collection, path)) stream.send(type, object)
  }
  const put = (path: string, written: Tree) => {
    version += 1
    const known = objects.get(path)
    const namespace = /\/namespaces\/([^/]+)\//.exec(path)?.[1]
    const metadata = { name: nameOf(path), namespace, ...written.metadata, resourceVersion: String(version) }
    const data = { ...written.data }
    for (const [key, value] of Object.entries(recordOf(written.stringData))) {
      data[key] = Buffer.from(String(value)).toString('base64')
    }
    const object = { ...written, metadata, data, stringData: undefined }
    objects.set(path, object)
    tell(known === undefined ? 'ADDED' : 'MODIFIED', path, object)
    return object
  }
  const list = (collection: string) =>
    [...objects].filter(([path]) => isIn(collection, path)).map(([, object]) => object)

  return {
    objects,
    put,
    remove(path) {
      const object = objects.get(path)
      objects.delete(path)
      version += 1
      tell('DELETED', path, { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } })
    },
    serve({ method, path, query, body }, answer) {
      if (query.get('watch') !== null) {
        const stream = answer.stream()
        watches.set(stream, path)
        answer.raw.on('close', () => watches.delete(stream))
        return
      }
      if (method === 'POST') {
        const at = `${path}/${(body as Tree).metadata.name}`
        if (objects.has(at)) return answer.refuse(409, 'AlreadyExists')
        return answer.json(201, put(at, body))
      }
      if (method === 'PATCH') return answer.json(200, put(path, body))
      if (query.has('limit')) {
        return answer.json(200, { metadata: { resourceVersion: String(version) }, items: list(path) })
      }
      const found = objects.get(path)
      if (found === undefined) return answer.refuse(404, 'NotFound')
      answer.json(200, found)
    },
  }
}

/** Waits for a condition, 10 s at most. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
