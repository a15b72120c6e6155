import type { Issue } from '../../model/result.ts'
import { idOf } from './catalogue.ts'

/** Something that whoever wrote the files should know. An `error` does not do what was meant; `info` is as it should be. */
export interface Finding extends Omit<Issue, 'severity'> {
  /** `HBK0103`: stable, with a row in docs/issues.md. */
  readonly id: string
  readonly severity: 'error' | 'warning' | 'info'
}

export function findingOf(found: Issue): Finding {
  return { id: idOf(found.code), ...found }
}

/** By file and place; what has no place comes last, by resource. */
export function compareFindings(a: Finding, b: Finding): number {
  const [left, right] = [a, b].map(({ location, resource = '', path, id }) => [
    location === undefined ? '\uffff' : location.file,
    location?.line ?? 0,
    location?.column ?? 0,
    resource,
    path,
    id,
  ])
  for (const [i, value] of (left ?? []).entries()) {
    const other = right?.[i] as typeof value
    if (value !== other) return value < other ? -1 : 1
  }
  return 0
}
