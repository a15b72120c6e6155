/** One edge out of a source file. */
export interface Import {
  /** As written: `./verdict.ts`, `node:fs`, `valibot`. Empty for an `import()` or `require()` of something computed. */
  readonly specifier: string
  /** Whether it is gone at run time (`import type`, `export type`). */
  readonly typeOnly: boolean
  readonly line: number
}

/** What the rules of the import graph ask of a source file. */
export interface SourceFacts {
  readonly imports: readonly Import[]
  /** Lines that read `process.env`, in any spelling. */
  readonly environment: readonly number[]
  /** Lines that name the global `Buffer` or `process`, which browsers do not have. */
  readonly nodeGlobals: readonly number[]
}

/**
 * Reads the imports of a TypeScript module: static, type-only, re-exported, dynamic, `typeof import(...)` and `require`.
 *
 * It looks at tokens, so that comments, strings, templates and regular expressions that only talk about imports count
 * for nothing. Types are not understood, and need not be.
 */
export function readImports(source: string): SourceFacts {
  const tokens = tokenize(source)
  const imports: Import[] = []
  const environment: number[] = []
  const nodeGlobals: number[] = []

  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!
    if (token.kind !== 'word' || tokens[i - 1]?.text === '.' || tokens[i - 1]?.text === '?.') continue
    const next = tokens[i + 1]
    if (token.text === 'import' || token.text === 'require') {
      if (next?.text === '(') {
        const argument = tokens[i + 2]
        const literal = argument?.kind === 'string' && [')', ','].includes(tokens[i + 3]?.text ?? '')
        if (!literal && isMethod(tokens, i + 1)) continue
        imports.push({ specifier: literal ? argument.text : '', typeOnly: false, line: token.line })
      } else if (token.text === 'import' && next?.text !== '.') {
        const found = statementSource(tokens, i + 1)
        if (found) imports.push({ ...found, line: token.line })
      }
    } else if (token.text === 'export' && (next?.text === '*' || next?.text === '{' || isTypeList(tokens, i + 1))) {
      const found = statementSource(tokens, i + 1)
      if (found) imports.push({ ...found, line: token.line })
    } else if (token.text === 'process' || token.text === 'Buffer') {
      if (next?.text === ':' || (next?.text === '?' && tokens[i + 2]?.text === ':')) continue
      nodeGlobals.push(token.line)
      const member = next?.text === '.' || next?.text === '?.' || next?.text === '[' ? tokens[i + 2]?.text : undefined
      if (token.text === 'process' && (member === 'env' || takesEnvironment(tokens, i))) {
        environment.push(token.line)
      }
    }
  }
  for (const { specifier, line } of imports) {
    if (specifier === 'node:process' || specifier === 'process') environment.push(line)
  }
  return { imports, environment, nodeGlobals }
}

interface Token {
  readonly kind: 'word' | 'string' | 'other'
  readonly text: string
  readonly line: number
}

/** `{ env } = process`: walks back from `process` over `=` to the braces it is taken apart into. */
function takesEnvironment(tokens: readonly Token[], at: number): boolean {
  if (tokens[at - 1]?.text !== '=' || tokens[at - 2]?.text !== '}') return false
  for (let i = at - 3; i >= 0 && tokens[i]!.text !== '{'; i--) if (tokens[i]!.text === 'env') return true
  return false
}

/** `import(crypto: Crypto): Key {` in a class or interface: after the brackets that open at `at` comes a type or a body. */
function isMethod(tokens: readonly Token[], at: number): boolean {
  let depth = 0
  for (let i = at; i < tokens.length; i++) {
    const { text } = tokens[i]!
    if (text === '(') depth += 1
    else if (text === ')' && --depth === 0) return [':', '{'].includes(tokens[i + 1]?.text ?? '')
  }
  return false
}

function isTypeList(tokens: readonly Token[], at: number): boolean {
  return tokens[at]?.text === 'type' && (tokens[at + 1]?.text === '{' || tokens[at + 1]?.text === '*')
}

/**
 * The module an import or export statement names, read from its second token. `{ type A }` is not type-only: under
 * `verbatimModuleSyntax` the module is still loaded.
 */
function statementSource(tokens: readonly Token[], at: number): Omit<Import, 'line'> | undefined {
  const first = tokens[at]
  if (first?.kind === 'string') return { specifier: first.text, typeOnly: false }
  const typeOnly = first?.text === 'type' && tokens[at + 1]?.text !== 'from' && tokens[at + 1]?.text !== ','
  for (let i = at, depth = 0; i < tokens.length; i++) {
    const { kind, text } = tokens[i]!
    if (text === '{') depth += 1
    else if (text === '}') depth -= 1
    else if (depth === 0 && text === 'from' && tokens[i + 1]?.kind === 'string') {
      return { specifier: tokens[i + 1]!.text, typeOnly }
    } else if (depth === 0 && kind !== 'word' && text !== '*' && text !== ',') return undefined
    else if (depth === 0 && i > at && (text === 'import' || text === 'export' || text === 'const')) return undefined
  }
  return undefined
}

const WORD = /[A-Za-z_$][\w$]*/y
const NUMBER = /\d[\w.]*/y
const REGULAR_EXPRESSION = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y

/** After one of these a `/` divides; after anything else it begins a regular expression. */
const ENDS_VALUE = /^(?:[\w$]+|[)\]}])$/
const WORDS_BEFORE_VALUE = new Set([
  'return',
  'typeof',
  'case',
  'in',
  'of',
  'do',
  'else',
  'void',
  'delete',
  'await',
  'yield',
])

function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  /** For each open template: how many braces are open inside its current `${`. */
  const templates: number[] = []
  let at = 0
  let line = 1

  const skipTo = (end: number) => {
    for (; at < end; at++) if (source[at] === '\n') line += 1
  }
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    return pattern.exec(source)?.[0]
  }
  const indexOf = (text: string, from: number) => {
    const found = source.indexOf(text, from)
    return found === -1 ? source.length : found
  }
  const skipTemplate = () => {
    while (at < source.length) {
      if (source[at] === '\\') skipTo(at + 2)
      else if (source[at] === '`') return skipTo(at + 1)
      else if (source.startsWith('${', at)) {
        templates.push(0)
        return skipTo(at + 2)
      } else skipTo(at + 1)
    }
  }

  if (source.startsWith('#!')) skipTo(indexOf('\n', 0))
  while (at < source.length) {
    const character = source[at]!
    const previous = tokens.at(-1)
    const word = take(WORD)
    if (word !== undefined) {
      tokens.push({ kind: 'word', text: word, line })
      at += word.length
    } else if (/\s/.test(character)) skipTo(at + 1)
    else if (source.startsWith('//', at)) skipTo(indexOf('\n', at))
    else if (source.startsWith('/*', at)) skipTo(indexOf('*/', at + 2) + 2)
    else if (character === "'" || character === '"') {
      const start = at
      for (at += 1; at < source.length && source[at] !== character && source[at] !== '\n'; at++) {
        if (source[at] === '\\') at += 1
      }
      at += 1
      tokens.push({ kind: 'string', text: source.slice(start + 1, at - 1), line })
    } else if (character === '`') {
      tokens.push({ kind: 'other', text: '`', line })
      skipTo(at + 1)
      skipTemplate()
    } else if (character === '}' && templates.at(-1) === 0) {
      templates.pop()
      skipTo(at + 1)
      skipTemplate()
    } else if (character === '/' && !(previous && endsValue(previous)) && take(REGULAR_EXPRESSION)) {
      skipTo(at + take(REGULAR_EXPRESSION)!.length)
      tokens.push({ kind: 'other', text: ')', line })
    } else {
      const number = take(NUMBER)
      const text = number ?? (source.startsWith('?.', at) ? '?.' : character)
      if (templates.length > 0 && text === '{') templates[templates.length - 1]! += 1
      if (templates.length > 0 && text === '}') templates[templates.length - 1]! -= 1
      tokens.push({ kind: 'other', text, line })
      at += text.length
    }
  }
  return tokens
}

function endsValue({ kind, text }: Token): boolean {
  return kind === 'string' || (ENDS_VALUE.test(text) && !WORDS_BEFORE_VALUE.has(text)) || text === '`'
}
