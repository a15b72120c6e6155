import { glob, stat } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'

/** Files that hold resources. */
const EXTENSIONS = ['.yaml', '.yml', '.json']

/** What kustomize reads, and is no resource. */
const NOT_RESOURCES: ReadonlySet<string> = new Set(['kustomization.yaml', 'kustomization.yml', 'Kustomization'])

/** True for a file name that is read when its directory is named. */
export function isResourceFile(name: string): boolean {
  return EXTENSIONS.some((extension) => name.endsWith(extension)) && !name.startsWith('.') && !NOT_RESOURCES.has(name)
}

/** A path that is neither a file nor a directory nor a glob that matches anything. */
export class NoSuchPathError extends Error {
  override readonly name = 'NoSuchPathError'
}

/**
 * The files that `paths` name, sorted: a file is itself, a directory is the resource files in it (not below it, as with
 * `kubectl apply -f`), a glob what it matches.
 */
export async function findFiles(paths: readonly string[]): Promise<readonly string[]> {
  const files = new Set<string>()
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile()) files.add(path)
    else {
      const pattern = found?.isDirectory() ? join(path, '*') : path
      const before = files.size
      for await (const match of glob(pattern, { withFileTypes: true })) {
        if (match.isFile() && (found === undefined || isResourceFile(match.name))) {
          const file = join(match.parentPath, match.name)
          // As whoever named it would call it; and as a watcher of the same path does.
          files.add(isAbsolute(path) ? file : relative('.', file))
        }
      }
      if (found === undefined && files.size === before) throw new NoSuchPathError(`${path}: no such file or directory`)
    }
  }
  return [...files].sort()
}
