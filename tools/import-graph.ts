import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import {
  type FolderRule,
  mayReadEnvironment,
  RULES,
  TEST_FOLDER_PACKAGES,
  TEST_FOLDERS,
  TEST_PACKAGES,
} from './import-rules.ts'
import { type Import, readImports } from './imports.ts'

/** An import that the architecture does not allow. */
export interface Violation {
  /** From the root of the repository, with `/`. */
  readonly file: string
  readonly line: number
  readonly message: string
}

/** Source text by path from the root of the repository, with `/`. */
export type SourceTree = ReadonlyMap<string, string>

/** Every TypeScript file below `root`, but for what is installed, built or hidden. */
export function readSourceTree(root: string): SourceTree {
  const files = new Map<string, string>()
  const walk = (directory: string) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules' || entry.name === 'dist') continue
      const path = join(directory, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.name.endsWith('.ts'))
        files.set(relative(root, path).split(sep).join('/'), readFileSync(path, 'utf8'))
    }
  }
  walk(root)
  return files
}

/**
 * Holds a source tree to the import rules:
 * - an import goes where `import-rules.ts` allows it to, to a file that exists, and to no package that is not listed;
 * - no file loads itself by way of others, and no folder imports itself by way of others, not even types;
 * - nothing the sidecar loads is a room's `section.ts`;
 * - pure folders need nothing of Node, and the environment is read in `options.ts` only.
 */
export function checkImportGraph(tree: SourceTree): readonly Violation[] {
  const files = new Map(
    [...tree].map(([file, source]) => [file, { facts: readImports(source), test: isTest(file) }] as const),
  )
  const violations: Violation[] = []
  const edges = new Map<string, Edge[]>()

  for (const [file, { facts, test }] of files) {
    const found = RULES[topFolder(file)] && ruleFor(file)
    if (!found) {
      violations.push({ file, line: 1, message: 'no rule names this folder: add it to tools/import-rules.ts' })
      continue
    }
    const [owner, rule] = found
    const own: Edge[] = []
    edges.set(file, own)
    for (const imported of facts.imports) {
      const target = resolveImport(file, imported)
      const message =
        target.startsWith('./') || target.startsWith('../')
          ? `${imported.specifier} is outside of the repository`
          : imported.specifier.startsWith('.')
            ? judgeFile(file, owner, rule, target, test, tree)
            : judgePackage(rule, imported.specifier, test, owner)
      if (message !== undefined) violations.push({ file, line: imported.line, message })
      else if (tree.has(target) && imported.specifier.startsWith('.')) own.push({ to: target, ...imported })
    }
    if (!test) {
      if (rule.pure) {
        for (const line of facts.nodeGlobals)
          violations.push({ file, line, message: 'Buffer and process do not exist in a browser' })
      }
      if (!mayReadEnvironment(file)) {
        for (const line of facts.environment)
          violations.push({ file, line, message: 'the environment is read in options.ts only' })
      }
    }
  }
  return [...violations, ...fileCycles(edges), ...folderCycles(edges), ...sectionsInSidecar(edges)].sort(byPlace)
}

function resolveImport(file: string, { specifier }: Import): string {
  return specifier.startsWith('.') ? posix.normalize(posix.join(posix.dirname(file), specifier)) : specifier
}

function judgeFile(
  file: string,
  owner: string,
  rule: FolderRule,
  target: string,
  test: boolean,
  tree: SourceTree,
): string | undefined {
  if (target.endsWith('.ts') && !tree.has(target)) return `there is no ${target}`
  // The version of every program, and no source.
  if (target === 'package.json' && owner === 'runtime') return undefined
  // What e2e is made of serves tests and nothing else: it may use what other tests use, and is none itself.
  if (!test && isTest(target) && !(within(file, 'e2e') && target.includes('/testing/'))) return `${target} is a test`
  const sameFolder = within(target, owner) && ruleFor(target)?.[0] === owner
  const allowed = [...rule.folders, ...(test ? [...(TEST_FOLDERS[topFolder(file)] ?? []), topFolder(file)] : [])]
  const parentsChild = owner === topFolder(file) && within(target, owner)
  if (sameFolder || parentsChild || allowed.some((folder) => within(target, folder))) return undefined
  return `${owner} may not import ${topFolder(target) === topFolder(file) ? posix.dirname(target) : topFolder(target)}`
}

function judgePackage(rule: FolderRule, specifier: string, test: boolean, owner: string): string | undefined {
  if (specifier === '') return 'an import of something computed cannot be checked'
  if (specifier.startsWith('node:')) {
    return rule.pure && !test ? `${owner} runs in a browser too, where there is no ${specifier}` : undefined
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const [top = owner] = owner.split('/')
  const allowed = test
    ? [...rule.packages, ...(RULES[top]?.packages ?? []), ...TEST_PACKAGES, ...(TEST_FOLDER_PACKAGES[top] ?? [])]
    : rule.packages
  return allowed.includes(name) ? undefined : `${owner} may not import the package ${name}`
}

/** The closest rule above a file, and the folder it is for. */
function ruleFor(file: string): readonly [folder: string, rule: FolderRule] | undefined {
  for (let folder = posix.dirname(file); folder !== '.'; folder = posix.dirname(folder)) {
    const rule = RULES[folder]
    if (rule) return [folder, rule]
  }
  return undefined
}

interface Edge extends Import {
  readonly to: string
}

type Edges = ReadonlyMap<string, readonly Edge[]>

/** Types that name each other across two files are nothing at run time. */
function fileCycles(edges: Edges): Violation[] {
  const loads = [...edges].map(
    ([file, out]) => [file, out.filter((edge) => !edge.typeOnly).map((edge) => edge.to)] as const,
  )
  return findCycles(new Map(loads)).map((cycle) => ({
    file: cycle[0]!,
    line: edges.get(cycle[0]!)?.find((edge) => edge.to === cycle[1])?.line ?? 1,
    message: `files in a circle: ${cycle.join(' -> ')}`,
  }))
}

/**
 * Each folder is a place of its own, `sidecar/serve/http1` another one than `sidecar/serve`; what a folder has with the
 * folders inside it is one room's own business.
 */
function folderCycles(edges: Edges): Violation[] {
  const graph = new Map<string, Set<string>>()
  const causes = new Map<string, { readonly file: string; readonly line: number }>()
  for (const [file, out] of edges) {
    if (isTest(file)) continue
    for (const { to, line } of out) {
      const from = posix.dirname(file)
      const target = posix.dirname(to)
      if (within(file, target) || within(to, from)) continue
      graph.set(from, (graph.get(from) ?? new Set()).add(target))
      causes.set(`${from}>${target}`, { file, line })
    }
  }
  return findCycles(new Map([...graph].map(([from, targets]) => [from, [...targets]]))).map((cycle) => ({
    ...causes.get(`${cycle[0]}>${cycle[1]}`)!,
    message: `folders in a circle: ${cycle.join(' -> ')}`,
  }))
}

function sectionsInSidecar(edges: Edges): Violation[] {
  const starts = [...edges.keys()].filter((file) => within(file, 'sidecar') && !isTest(file))
  const cameFrom = new Map<string, string | undefined>(starts.map((file) => [file, undefined]))
  const violations: Violation[] = []
  for (const file of cameFrom.keys()) {
    for (const { to, line } of edges.get(file) ?? []) {
      if (!cameFrom.has(to)) cameFrom.set(to, file)
      else continue
      if (/^policies\/(?:.*\/)?sections?\.ts$/.test(to)) {
        const way = [to]
        for (let step: string | undefined = file; step !== undefined; step = cameFrom.get(step)) way.unshift(step)
        violations.push({ file, line, message: `the sidecar reaches the operator's door: ${way.join(' -> ')}` })
      }
    }
  }
  return violations
}

/** One cycle, first node repeated at the end, for each strongly connected component that has one (Tarjan). */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const cycles: string[][] = []

  const visit = (node: string) => {
    index.set(node, index.size)
    low.set(node, index.get(node)!)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) visit(next)
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!))
    }
    if (low.get(node) !== index.get(node)) return
    const component = new Set(stack.splice(stack.indexOf(node)))
    if (component.size > 1 || graph.get(node)?.includes(node)) cycles.push(shortestCycle(graph, component))
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return cycles
}

function shortestCycle(graph: ReadonlyMap<string, readonly string[]>, component: ReadonlySet<string>): string[] {
  const start = [...component].sort()[0]!
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (!component.has(next)) continue
      if (next === start) {
        const way = [start]
        for (let step: string | undefined = node; step !== undefined && step !== start; step = cameFrom.get(step)) {
          way.unshift(step)
        }
        return [start, ...way]
      }
      if (!cameFrom.has(next)) {
        cameFrom.set(next, node)
        queue.push(next)
      }
    }
  }
  return [start, start]
}

function within(file: string, folder: string): boolean {
  return file.startsWith(`${folder}/`)
}

function topFolder(file: string): string {
  return file.slice(0, Math.max(0, file.indexOf('/')))
}

/** Tests, those that want a cluster too, and what only tests use (folders called `testing`). */
export function isTest(file: string): boolean {
  return file.endsWith('.test.ts') || file.endsWith('.kind.ts') || file.includes('/testing/')
}

function byPlace(a: Violation, b: Violation): number {
  return a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1
}
