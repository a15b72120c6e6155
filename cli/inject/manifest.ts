import { Document, LineCounter, type ParsedNode, parseAllDocuments } from 'yaml'
import { type Issue, issue } from '../../model/result.ts'
import type { PatchStep } from '../../operator/admission/json-patch.ts'
import { parsePath } from '../../operator/schema/review.ts'
import { locateIn } from '../../operator/sources/yaml-documents.ts'
import { editDocument } from './edit-document.ts'

/** A stream of YAML documents that can be changed in places and printed again. */
export interface Manifest {
  readonly resources: readonly ManifestResource[]
  readonly issues: readonly Issue[]
  /** All of it. Documents that were not changed are printed as they were read. */
  print(): string
}

/** A document, or an item of a List. */
export interface ManifestResource {
  readonly value: unknown
  locate(path: string): NonNullable<Issue['location']>
  /** Changes what stands below a path of the resource. */
  edit(below: readonly string[], patch: readonly PatchStep[]): void
}

/** Reads a file as kubectl does (YAML 1.1, no duplicate keys; JSON is YAML). `file` is how issues call it. */
export function readManifest(file: string, text: string): Manifest {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, version: '1.1', uniqueKeys: true, prettyErrors: false })
  if (!Array.isArray(parsed)) return { resources: [], issues: [], print: () => text }
  let end = 0
  const parts = parsed.map((document) => {
    const source = text.slice(end, document.range[2])
    end = document.range[2]
    return partOf(document, file, source, lines)
  })
  return {
    resources: parts.flatMap((part) => part.resources),
    issues: parts.flatMap((part) => part.issues),
    print: () => joinDocuments(parts.map((part) => part.print())),
  }
}

/** One stream of several texts, each of which may begin with `---` or not. */
export function joinDocuments(texts: readonly string[]): string {
  let whole = ''
  for (const text of texts) {
    if (text.trim() === '') continue
    if (whole !== '' && !whole.endsWith('\n')) whole += '\n'
    if (whole !== '' && !/^(?:[ \t]*(?:#[^\n]*)?\n)*---(?:\s|$)/.test(text)) whole += '---\n'
    whole += text
  }
  return whole === '' || whole.endsWith('\n') ? whole : `${whole}\n`
}

/** Against documents that grow by references to references. */
const MAX_ALIASES = 100

function partOf(document: Document.Parsed<ParsedNode>, file: string, source: string, lines: LineCounter): Manifest {
  const at = (path: readonly (string | number)[]) => ({ file, ...locateIn(document, lines, path) })
  const unchanged = { resources: [], print: () => source }
  const problems = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0])
    return { ...issue('yaml', '', error.message), location: { file, line, column: col } }
  })
  if (problems.length > 0) return { ...unchanged, issues: problems }
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (error) {
    return { ...unchanged, issues: [{ ...issue('yaml', '', (error as Error).message), location: at([]) }] }
  }
  if (value === null) return { ...unchanged, issues: [] }

  let edited: Document | undefined
  const edit = (path: readonly (string | number)[], patch: readonly PatchStep[]) => {
    if (patch.length === 0) return
    edited ??= document
    if (editDocument(edited, path, patch)) return
    edited = new Document(value, { version: '1.1', aliasDuplicateObjects: false })
    editDocument(edited, path, patch)
  }
  const items = itemsOf(value)
  const resources = (items ?? [value]).map((each, i): ManifestResource => {
    const root = items === undefined ? [] : ['items', i]
    return {
      value: each,
      locate: (path) => at([...root, ...parsePath(path)]),
      edit: (below, patch) => edit([...root, ...below], patch),
    }
  })
  return {
    resources,
    issues: [],
    print() {
      if (edited === undefined) return source
      if (isJson(source)) return `${JSON.stringify(edited.toJS({ maxAliasCount: 0 }), null, 2)}\n`
      // Lists that start where their key does stay so.
      const indentSeq = !/^( *)[^\s#-][^\n]*:[ ]*\n\1- /m.test(source)
      return edited.toString({ lineWidth: 0, indentSeq })
    },
  }
}

function isJson(source: string): boolean {
  if (!source.trimStart().startsWith('{')) return false
  try {
    JSON.parse(source)
    return true
  } catch {
    return false
  }
}

/** The items of a `List`; undefined for what is none. */
function itemsOf(value: unknown): readonly unknown[] | undefined {
  const { apiVersion, kind, items } = value as { apiVersion?: unknown; kind?: unknown; items?: unknown }
  return apiVersion === 'v1' && kind === 'List' && Array.isArray(items) ? items : undefined
}
