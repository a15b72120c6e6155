import { basename } from 'node:path'
import { watch } from 'chokidar'
import { canonicalJson } from '../../contract/codec.ts'
import type { Resource } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { Section } from '../../model/section.ts'
import { FileError, readFileCapped } from '../../runtime/atomic-file.ts'
import type { Log } from '../../runtime/log.ts'
import { createValidator } from '../schema/validator.ts'
import { findFiles, isResourceFile } from './find-files.ts'
import { keyOf, type LocatedResource, type ResourceFile, readResourceFile } from './resource-file.ts'
import type { Change, Sink, Source } from './source.ts'

/** Bytes of one file at most. */
const MAX_FILE_BYTES = 4 * 1024 * 1024

/** Milliseconds that a file must keep its size before it is read: editors write in pieces. */
const STABLE_MS = 60

export interface FilesSource extends Source {
  /** What is wrong with the files as they are now, by file. Empty when all is well. */
  issues(): readonly Issue[]
  /** Where a resource stands, for issues that are found later. */
  locate(resource: string, path: string): Issue['location']
  /** Calls `listener` after each change of `issues()`. */
  onIssues(listener: (issues: readonly Issue[]) => void): () => void
}

/** All resources of some files at one moment, and everything that is wrong with them. */
export interface LoadedFiles {
  readonly files: readonly string[]
  readonly resources: readonly LocatedResource[]
  readonly issues: readonly Issue[]
}

/** Reads files, directories or globs once. Throws a `NoSuchPathError` for a path that names nothing. */
export async function loadFiles(paths: readonly string[], sections: readonly Section[]): Promise<LoadedFiles> {
  const validate = createValidator(sections)
  const files = await findFiles(paths)
  const contents = new Map<string, ResourceFile>()
  for (const file of files) contents.set(file, await readFileOf(file, validate, sections))
  const { resources, issues } = merge(contents)
  return { files, resources: [...resources.values()], issues }
}

/**
 * Watches files, directories or globs of YAML.
 *
 * A file that does not parse or validate changes nothing: what it said before stays in force, and `issues()` says what is
 * wrong with file, line and column. So does a file that is emptied, which is what half of a save looks like; whoever means
 * to remove resources removes the file, or the documents.
 */
export function createFilesSource(paths: readonly string[], sections: readonly Section[], log: Log): FilesSource {
  const validate = createValidator(sections)
  const generations = new Map<string, { readonly content: string; readonly generation: number }>()
  const listeners = new Set<(issues: readonly Issue[]) => void>()
  let current: ReadonlyMap<string, LocatedResource> = new Map()
  let issues: readonly Issue[] = []

  const withGeneration = (resource: Resource): Resource => {
    const key = keyOf(resource)
    const { metadata, status: _status, ...content } = resource
    const now = canonicalJson(content)
    const known = generations.get(key)
    const generation = known === undefined ? 1 : known.content === now ? known.generation : known.generation + 1
    generations.set(key, { content: now, generation })
    return { ...resource, metadata: { ...metadata, generation } }
  }

  return {
    issues: () => issues,
    locate: (resource, path) => current.get(resource)?.locate(path),
    onIssues(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async run(sink: Sink, signal: AbortSignal) {
      const good = new Map<string, ResourceFile>()
      const broken = new Map<string, readonly Issue[]>()

      const read = async (file: string) => {
        const content = await readFileOf(file, validate, sections)
        const before = good.get(file)
        const isEmptied = content.isUsable && content.resources.length === 0 && (before?.resources.length ?? 0) > 0
        if (content.isUsable && !isEmptied) {
          good.set(file, content)
          broken.delete(file)
          return
        }
        const emptied = issue('emptied', '', 'has no resources any more', 'remove the file if that is meant')
        broken.set(file, isEmptied ? [{ ...emptied, location: { file, line: 1, column: 1 } }] : content.issues)
      }

      const publish = () => {
        const merged = merge(good, current)
        const changes: Change[] = []
        for (const [key, located] of merged.resources) {
          if (current.get(key)?.resource !== located.resource) {
            changes.push({ type: 'set', resource: withGeneration(located.resource) })
          }
        }
        for (const [key, { resource }] of current) {
          if (merged.resources.has(key)) continue
          const { kind, metadata } = resource
          const { name, namespace } = metadata
          changes.push({ type: 'removed', ref: namespace === undefined ? { kind, name } : { kind, namespace, name } })
        }
        current = merged.resources
        if (changes.length > 0) sink.apply(changes)
        const next = [...[...broken.values()].flat(), ...merged.issues]
        if (canonicalJson(next) === canonicalJson(issues)) return
        issues = next
        for (const found of issues) log.warn('a file is not usable, what it said before stays', { issue: found })
        for (const listener of listeners) listener(issues)
      }

      // Watching comes first, or a change between the first look and the first event would be missed.
      await findFiles(paths)
      let work = Promise.resolve()
      const enqueue = (file: string, step: () => Promise<void> | void) => {
        if (!isResourceFile(basename(file)) && !paths.includes(file)) return
        work = work
          .then(step)
          .then(publish)
          .catch((err: unknown) => log.error('a file could not be taken', { err }))
      }
      const watcher = watch([...paths], {
        ignoreInitial: true,
        depth: 0,
        awaitWriteFinish: { stabilityThreshold: STABLE_MS, pollInterval: 20 },
      })
      watcher.on('add', (file) => enqueue(file, () => read(file)))
      watcher.on('change', (file) => enqueue(file, () => read(file)))
      watcher.on('unlink', (file) =>
        enqueue(file, () => {
          good.delete(file)
          broken.delete(file)
        }),
      )
      watcher.on('error', (err) => log.error('files can no longer be watched', { err }))
      await new Promise<void>((resolve) => watcher.once('ready', () => resolve()))
      for (const file of await findFiles(paths)) await read(file)
      publish()
      sink.synced()
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await watcher.close()
      await work
    },
  }
}

async function readFileOf(
  file: string,
  validate: ReturnType<typeof createValidator>,
  sections: readonly Section[],
): Promise<ResourceFile> {
  try {
    const text = (await readFileCapped(file, MAX_FILE_BYTES)).toString('utf8')
    return readResourceFile(file, text, validate, sections)
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    const found = { ...issue('unreadable', '', error.message), location: { file, line: 1, column: 1 } }
    return { resources: [], issues: [found], isUsable: false }
  }
}

/**
 * One resource is said by one file. Of two that say it, the one that is in force already counts (a copy of a file must not
 * take its place), else the first by name; the other is told of.
 */
function merge(
  files: ReadonlyMap<string, ResourceFile>,
  inForce: ReadonlyMap<string, LocatedResource> = new Map(),
): {
  readonly resources: ReadonlyMap<string, LocatedResource>
  readonly issues: readonly Issue[]
} {
  const resources = new Map<string, LocatedResource>()
  const issues: Issue[] = []
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, content]) => content)
  for (const { resources: said } of sorted) {
    for (const located of said) {
      const key = keyOf(located.resource)
      if (inForce.get(key)?.location.file === located.location.file) resources.set(key, located)
    }
  }
  for (const content of sorted) {
    issues.push(...content.issues)
    for (const located of content.resources) {
      const key = keyOf(located.resource)
      const twin = resources.get(key)
      if (twin === undefined) resources.set(key, located)
      else if (twin !== located) {
        const { file, line } = twin.location
        issues.push({
          ...issue('duplicate', '', `is there already, in ${file}:${line}`),
          resource: key,
          location: located.location,
        })
      }
    }
  }
  return { resources, issues }
}
