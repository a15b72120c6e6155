import { type Document, isCollection, isMap, isPair, isScalar, LineCounter, type Node, parseAllDocuments } from 'yaml'
import { type Issue, issue } from '../../model/result.ts'

/** One document of a file: the plain value, and where its parts stand. */
export interface YamlDocument {
  readonly value: unknown
  /** Line and column (from 1) of the value at a path, or of the nearest part above it that is there; `atKey`: of the key itself. */
  locate(path: readonly (string | number)[], atKey?: boolean): Position
}

export interface Position {
  readonly line: number
  readonly column: number
}

export interface YamlProblem extends Position {
  readonly issue: Issue
}

export type ParsedYaml =
  | { readonly ok: true; readonly documents: readonly YamlDocument[] }
  | { readonly ok: false; readonly problems: readonly YamlProblem[] }

/**
 * The documents of a YAML stream (JSON is one too), read as kubectl reads it: YAML 1.1 (`yes` is true, `0644` is octal),
 * no duplicate keys. Empty documents are left out; items of a `List` count as documents of their own.
 */
export function parseYaml(text: string): ParsedYaml {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, version: '1.1', uniqueKeys: true, prettyErrors: false })
  if (!Array.isArray(parsed)) return { ok: true, documents: [] }
  const position = (offset: number) => positionOf(lines, offset)
  const problems: YamlProblem[] = []
  const documents: YamlDocument[] = []
  for (const document of parsed) {
    for (const error of document.errors) {
      problems.push({ ...position(error.pos[0]), issue: issue('yaml', '', lowerFirst(error.message)) })
    }
    if (problems.length > 0 || document.contents === null) continue
    let value: unknown
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIASES })
    } catch (error) {
      problems.push({ line: 1, column: 1, issue: issue('yaml', '', lowerFirst((error as Error).message)) })
      continue
    }
    if (value === null) continue
    const items = itemsOfList(value)
    const at = (path: readonly (string | number)[], atKey: boolean) => locateIn(document, lines, path, atKey)
    if (items === undefined) documents.push({ value, locate: (path, atKey = false) => at(path, atKey) })
    else {
      items.forEach((item, i) => {
        documents.push({ value: item, locate: (path, atKey = false) => at(['items', i, ...path], atKey) })
      })
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, documents }
}

/** Against documents that grow by references to references. */
const MAX_ALIASES = 100

function itemsOfList(value: unknown): readonly unknown[] | undefined {
  const { apiVersion, kind, items } = value as { apiVersion?: unknown; kind?: unknown; items?: unknown }
  return apiVersion === 'v1' && kind === 'List' && Array.isArray(items) ? items : undefined
}

/** Line and column (from 1) of the value at a path of a document, or of the nearest part above it; `atKey`: of the key itself. */
export function locateIn(
  document: Document,
  lines: LineCounter,
  path: readonly (string | number)[],
  atKey = false,
): Position {
  return positionOf(lines, offsetOf(document, path, atKey))
}

function positionOf(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(1, line), column: Math.max(1, col) }
}

function offsetOf(document: Document, path: readonly (string | number)[], atKey: boolean): number {
  let node: Node | null = document.contents
  let offset = node?.range?.[0] ?? 0
  for (const [depth, segment] of path.entries()) {
    if (!isCollection(node)) break
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(segment))
      if (!isPair(pair)) break
      const key = pair.key as Node
      const next = pair.value as Node | null
      const isLast = depth === path.length - 1
      offset = (isLast && atKey ? key.range?.[0] : (next?.range?.[0] ?? key.range?.[0])) ?? offset
      node = next
    } else {
      const next = node.get(segment, true) as Node | undefined
      if (next === undefined) break
      offset = next.range?.[0] ?? offset
      node = next
    }
  }
  return offset
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
