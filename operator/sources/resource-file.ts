import { type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { Section } from '../../model/section.ts'
import { parsePath, reviewResource } from '../schema/review.ts'
import type { createValidator } from '../schema/validator.ts'
import { parseYaml, type YamlDocument } from './yaml-documents.ts'

/** What one file says. A file with any error counts for nothing: half of it may be what keeps the other half safe. */
export interface ResourceFile {
  readonly resources: readonly LocatedResource[]
  readonly issues: readonly Issue[]
  readonly isUsable: boolean
}

export interface LocatedResource {
  readonly resource: Resource
  readonly location: { readonly file: string; readonly line: number; readonly column: number }
  /** Where the value at a path such as `spec.targetRefs[0]` stands, for issues that are found later. */
  locate(path: string): { readonly file: string; readonly line: number; readonly column: number }
}

/** Reads the text of one file. `file` is how issues call it. */
export function readResourceFile(
  file: string,
  text: string,
  validate: ReturnType<typeof createValidator>,
  sections: readonly Section[],
): ResourceFile {
  const parsed = parseYaml(text)
  if (!parsed.ok) {
    const issues = parsed.problems.map(({ issue: found, line, column }) => ({
      ...found,
      location: { file, line, column },
    }))
    return { resources: [], issues, isUsable: false }
  }
  const resources: LocatedResource[] = []
  const issues: Issue[] = []
  const seen = new Map<string, LocatedResource>()
  for (const document of parsed.documents) {
    const verdict = validate(document.value)
    if (verdict.kind === 'ignored') continue
    if (verdict.kind === 'invalid') {
      const resource = nameOf(document.value)
      for (const { issue: found, path, atKey } of verdict.issues) {
        issues.push({ ...found, ...resource, location: { file, ...document.locate(path, atKey) } })
      }
      continue
    }
    const located = locatedResource(verdict.resource, document, file)
    const key = keyOf(verdict.resource)
    for (const found of reviewResource(verdict.resource, sections)) {
      issues.push({ ...found, resource: key, location: located.locate(found.path) })
    }
    const twin = seen.get(key)
    if (twin !== undefined) {
      const { line } = twin.location
      issues.push({
        ...issue('duplicate', '', `is there already, in line ${line}`),
        resource: key,
        location: located.location,
      })
    }
    seen.set(key, located)
    resources.push(located)
  }
  const isUsable = !issues.some(({ severity }) => severity === 'error')
  return { resources, issues, isUsable }
}

/** `Kind/namespace/name`. */
export function keyOf({ kind, metadata }: Resource): string {
  return resourceKey(kind, metadata.namespace, metadata.name)
}

function locatedResource(resource: Resource, document: YamlDocument, file: string): LocatedResource {
  return {
    resource,
    location: { file, ...document.locate([]) },
    locate: (path) => ({ file, ...document.locate(parsePath(path)) }),
  }
}

function nameOf(value: unknown): { readonly resource?: string } {
  const { kind, metadata } = (value ?? {}) as { kind?: unknown; metadata?: { name?: unknown; namespace?: unknown } }
  if (typeof kind !== 'string' || typeof metadata?.name !== 'string') return {}
  const namespace = typeof metadata.namespace === 'string' ? metadata.namespace : undefined
  return { resource: resourceKey(kind, namespace, metadata.name) }
}
