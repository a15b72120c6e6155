import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** An npm package that is part of an image. */
export interface Package {
  readonly name: string
  readonly version: string
  readonly directory: string
}

/** The packages of which esbuild took anything, by its metafile. `root` is where it was run. */
export function bundledPackages(metafile: Metafile, root: string): readonly Package[] {
  const directories = new Set<string>()
  for (const [input, { bytesInOutput }] of Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs),
  )) {
    const directory = bytesInOutput > 0 ? /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] : undefined
    if (directory !== undefined) directories.add(directory)
  }
  return [...directories].sort().map((directory) => packageAt(join(root, directory)))
}

/** Of esbuild's metafile. */
export interface Metafile {
  readonly outputs: Readonly<
    Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
  >
}

/** The packages in a `node_modules`, and in those inside of it. */
export function installedPackages(modules: string): readonly Package[] {
  if (!existsSync(modules)) return []
  return readdirSync(modules).flatMap((entry) => {
    if (entry.startsWith('.')) return []
    const directories = entry.startsWith('@')
      ? readdirSync(join(modules, entry)).map((name) => join(modules, entry, name))
      : [join(modules, entry)]
    return directories.flatMap((directory) => [
      packageAt(directory),
      ...installedPackages(join(directory, 'node_modules')),
    ])
  })
}

function packageAt(directory: string): Package {
  const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Package
  return { name, version, directory }
}
