import { createHash } from 'node:crypto'
import { parseAllDocuments } from 'yaml'
import type { Resource } from '../../../model/resource.ts'
import { snapshotOf } from '../../store/snapshot.ts'
import { type TranslateDeps, type Translation, translate } from '../translate.ts'

/** What translation needs besides the resources, in tests. */
export const DEPS: TranslateDeps = {
  sha256: (text) => createHash('sha256').update(text).digest('base64url'),
  mesh: { roots: ['ROOT'] },
}

/** The resources of a file of YAML documents. */
export function resourcesIn(yaml: string): readonly Resource[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    const resource = document.toJS() as Resource | null
    return resource === null ? [] : [resource]
  })
}

export function translateAll(
  resources: Iterable<Resource>,
  deps: Partial<TranslateDeps> = {},
  previous?: Translation,
): Translation {
  return translate(snapshotOf(resources), { ...DEPS, ...deps }, previous)
}
