import { copyFile, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const SHOP = resolve(import.meta.dirname, '../../samples/shop')
/** What the scenarios add to the shop. */
const MANIFESTS = resolve(import.meta.dirname, '../manifests')

/** The shop's YAML where it may be changed: the repository's own files are never touched. */
export interface ShopCopy {
  /** What a mesh is started with. */
  readonly files: readonly string[]
  /** The path of `NAME.yaml`. */
  pathOf(name: string): string
  save(name: string, yaml: string): Promise<void>
  remove(name: string): Promise<void>
}

export async function copyShop(directory: string): Promise<ShopCopy> {
  await mkdir(directory, { recursive: true })
  const names = (await readdir(SHOP)).filter((name) => name.endsWith('.yaml'))
  await Promise.all(names.map((name) => copyFile(join(SHOP, name), join(directory, name))))
  // The commands in the Deployments are relative to the file that they are in.
  await symlink(join(SHOP, 'apps'), join(directory, 'apps'))
  const pathOf = (name: string) => join(directory, `${name}.yaml`)
  return {
    files: [directory, MANIFESTS],
    pathOf,
    async save(name, yaml) {
      // Beside it and then renamed, as careful editors save: nobody sees half of it.
      await writeFile(`${pathOf(name)}.new`, yaml)
      await rename(`${pathOf(name)}.new`, pathOf(name))
    },
    remove: (name) => rm(pathOf(name), { force: true }),
  }
}
