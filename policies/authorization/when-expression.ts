import { type ASTNode, Environment, type ParseResult, serialize } from '@marcbachmann/cel-js'
import type { Facts, Peer, RequestView } from '../../model/request.ts'
import { fail, type Issue, issue, ok, type Result } from '../../model/result.ts'
import { scopeTokens } from './claim-values.ts'

/**
 * The `when` of a rule: an expression in CEL (the Common Expression Language) over
 *
 * - `claims`: the claims of the verified token, empty without one; `claims.scope` is a list (RFC 6749, 3.3), whole numbers
 *   are `int`;
 * - `path`: the variables of the path pattern that matched, decoded;
 * - `request`: `method`, `path`, `host`, `scheme`, `port`, `headers`, `query`; a header or parameter that was sent more
 *   than once has no one value and is not there;
 * - `source`: `spiffeId`, `trustDomain`, `namespace`, `serviceAccount` (not there without a verified certificate), `ip`.
 *
 * Reading what is not there is an error, and what an error means is up to the rule: it can only deny.
 *
 * The cost of one evaluation is bounded: 2048 characters, 256 nodes, 32 levels, no regular expression (they backtrack), no
 * macro inside a macro, and headers and parameters are read only by names that are written out.
 */
export interface WhenExpression {
  readonly text: string
  /** True when it speaks of `source` alone, which a connection of opaque TCP has too. */
  readonly fitsTcp: boolean
  /** The path variables that it reads by name. */
  readonly pathVariables: readonly string[]
  evaluate(request: RequestView, facts: Facts, variables: PathVariables): WhenOutcome
  /** The first part of a chain of `&&` that is not true, and what its operands are. Undefined when it is all true. */
  firstFailure(request: RequestView, facts: Facts, variables: PathVariables): WhenFailure | undefined
}

export type PathVariables = Readonly<Record<string, string>>

/** What is neither true nor false is the error's text. */
export type WhenOutcome = boolean | { readonly error: string }

export interface WhenFailure {
  readonly expression: string
  readonly outcome: string
}

export const MAX_WHEN_LENGTH = 2048

const MACROS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one'])
const FUNCTIONS: ReadonlySet<string> = new Set(['has', 'size', 'int', 'double', 'string', 'bool'])
const METHODS: ReadonlySet<string> = new Set(['size', 'startsWith', 'endsWith', 'contains', 'split', ...MACROS])
const VARIABLES: ReadonlySet<string> = new Set(['claims', 'path', 'request', 'source'])

export function parseWhen(text: string): Result<WhenExpression> {
  if (text.length > MAX_WHEN_LENGTH) return malformed(`is longer than ${MAX_WHEN_LENGTH} characters`)
  let program: ParseResult
  try {
    program = environment().parse(text)
  } catch (error) {
    return malformed(summaryOf(error))
  }
  const reads = newReads()
  const issues = walk(program.ast, reads, [], 0)
  if (issues.length > 0) return fail(...issues)
  const checked = program.check()
  if (!checked.valid) return malformed(summaryOf(checked.error))
  if (checked.type !== 'bool' && checked.type !== 'dyn') return malformed(`is of type ${checked.type}, not bool`)

  const run = (part: ParseResult, request: RequestView, facts: Facts, variables: PathVariables): unknown =>
    part({
      claims: reads.variables.has('claims') ? celClaims(facts) : NO_CLAIMS,
      path: variables,
      request: new CelRequest(request, reads),
      source: new CelSource(request),
    })

  return ok({
    text,
    fitsTcp: [...reads.variables].every((name) => name === 'source'),
    pathVariables: [...reads.pathVariables],
    evaluate(request, facts, variables) {
      try {
        const value = run(program, request, facts, variables)
        return typeof value === 'boolean' ? value : { error: `came to ${describe(value)}, which is no bool` }
      } catch (error) {
        return { error: summaryOf(error) }
      }
    },
    firstFailure(request, facts, variables) {
      const outcomeOf = (node: ASTNode): string => {
        try {
          return describe(run(environment().parse(serialize(node)), request, facts, variables))
        } catch (error) {
          return summaryOf(error)
        }
      }
      for (const part of conjuncts(program.ast)) {
        const outcome = outcomeOf(part)
        if (outcome === 'true') continue
        const operands = operandsOf(part).map((operand) => `${serialize(operand)} is ${outcomeOf(operand)}`)
        return { expression: serialize(part), outcome: [outcome, ...operands].join('; ') }
      }
      return undefined
    },
  })
}

interface Reads {
  readonly variables: Set<string>
  readonly pathVariables: Set<string>
  readonly headers: Set<string>
  readonly query: Set<string>
}

function newReads(): Reads {
  return { variables: new Set(), pathVariables: new Set(), headers: new Set(), query: new Set() }
}

/** Refuses what costs too much or cannot be answered from a request, and notes what is read. */
function walk(node: ASTNode, reads: Reads, bound: readonly string[], macros: number): readonly Issue[] {
  const inside = (...nodes: readonly ASTNode[]) => nodes.flatMap((inner) => walk(inner, reads, bound, macros))
  switch (node.op) {
    case 'value':
      return []
    case 'id':
      if (bound.includes(node.args)) return []
      if (node.args === 'request') return [wrong('uses request as a whole', 'write a field of it: request.method')]
      if (!VARIABLES.has(node.args)) {
        return [wrong(`speaks of '${node.args}'`, 'there are claims, path, request and source')]
      }
      reads.variables.add(node.args)
      return []
    case '.':
    case '[]': {
      const [left, right] = node.args
      const name = typeof right === 'string' ? right : right.op === 'value' ? right.args : undefined
      const map = namedMap(left, bound)
      if (map !== undefined) return readNamed(map, name, reads)
      if (isVariable(left, 'request', bound) && node.op === '.') {
        reads.variables.add('request')
        return name === 'headers' || name === 'query' ? [byName(name)] : []
      }
      if (isVariable(left, 'path', bound) && typeof name === 'string') reads.pathVariables.add(name)
      return typeof right === 'string' ? inside(left) : inside(left, right)
    }
    case 'in': {
      const [left, right] = node.args
      const map = namedMap(right, bound)
      return map === undefined
        ? inside(left, right)
        : readNamed(map, left.op === 'value' ? left.args : undefined, reads)
    }
    case 'call': {
      const [name, args] = node.args
      return FUNCTIONS.has(name) ? inside(...args) : [unknownFunction(`${name}()`)]
    }
    case 'rcall': {
      const [name, receiver, args] = node.args
      if (!METHODS.has(name)) return [unknownFunction(`.${name}()`)]
      if (!MACROS.has(name)) return inside(receiver, ...args)
      if (macros > 0) return [wrong(`has .${name}() inside another macro`, 'one loop at a time')]
      const [variable, ...rest] = args
      const scope = variable?.op === 'id' ? [...bound, variable.args] : bound
      return [...inside(receiver), ...rest.flatMap((inner) => walk(inner, reads, scope, macros + 1))]
    }
    case 'list':
      return inside(...node.args)
    case 'map':
      return inside(...node.args.flat())
    case '!_':
    case '-_':
      return inside(node.args)
    case '.?':
    case '[?]':
      return [wrong('uses optional values', 'use has()')]
    default:
      return inside(...node.args)
  }
}

/** `request.headers` or `request.query`, the two that are looked up and never listed. */
function namedMap(node: ASTNode, bound: readonly string[]): 'headers' | 'query' | undefined {
  if (node.op !== '.' || !isVariable(node.args[0], 'request', bound)) return undefined
  return node.args[1] === 'headers' || node.args[1] === 'query' ? node.args[1] : undefined
}

function readNamed(map: 'headers' | 'query', name: unknown, reads: Reads): readonly Issue[] {
  if (typeof name !== 'string') return [byName(map)]
  reads.variables.add('request')
  reads[map].add(name)
  return []
}

function isVariable(node: ASTNode, name: string, bound: readonly string[]): boolean {
  return node.op === 'id' && node.args === name && !bound.includes(name)
}

function conjuncts(node: ASTNode): readonly ASTNode[] {
  return node.op === '&&' ? node.args.flatMap(conjuncts) : [node]
}

function operandsOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case 'in':
      return node.args.filter(({ op }) => op !== 'value' && op !== 'list')
    default:
      return []
  }
}

/** A request as CEL sees it. What it is not asked for it does not read. */
class CelRequest {
  readonly #request: RequestView | undefined
  readonly #reads: Reads | undefined

  constructor(request?: RequestView, reads?: Reads) {
    this.#request = request
    this.#reads = reads
  }

  get method() {
    return this.#request?.method
  }

  get path() {
    return this.#request?.path
  }

  get host() {
    return this.#request?.host
  }

  get scheme() {
    return this.#request?.scheme
  }

  get port() {
    return this.#request && BigInt(this.#request.port)
  }

  get headers() {
    return onlyValues(this.#reads?.headers, (name) => this.#request?.headers(name.toLowerCase()) ?? [])
  }

  get query() {
    const parameters = new URLSearchParams(this.#request?.query)
    return onlyValues(this.#reads?.query, (name) => parameters.getAll(name))
  }
}

class CelSource {
  readonly #peer: Peer | undefined
  readonly #ip: string | undefined

  constructor(request?: RequestView) {
    this.#peer = request?.peer
    this.#ip = request?.clientIp
  }

  get spiffeId() {
    return this.#peer?.spiffeId
  }

  get trustDomain() {
    return this.#peer?.trustDomain
  }

  get namespace() {
    return this.#peer?.namespace
  }

  get serviceAccount() {
    return this.#peer?.serviceAccount
  }

  get ip() {
    return this.#ip
  }
}

function onlyValues(names: ReadonlySet<string> = new Set(), read: (name: string) => readonly string[]) {
  const values = new Map<string, string>()
  for (const name of names) {
    const [value, ...others] = read(name)
    if (value !== undefined && others.length === 0) values.set(name, value)
  }
  return values
}

let shared: Environment | undefined

function environment(): Environment {
  shared ??= new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: 256, maxDepth: 32, maxListElements: 128, maxMapEntries: 16, maxCallArguments: 4 },
  })
    .registerType('Request', {
      ctor: CelRequest,
      fields: {
        method: 'string',
        path: 'string',
        host: 'string',
        scheme: 'string',
        port: 'int',
        headers: 'map<string, string>',
        query: 'map<string, string>',
      },
    })
    .registerType('Source', {
      ctor: CelSource,
      fields: {
        spiffeId: 'string',
        trustDomain: 'string',
        namespace: 'string',
        serviceAccount: 'string',
        ip: 'string',
      },
    })
    .registerVariable('claims', 'map<string, dyn>')
    .registerVariable('path', 'map<string, string>')
    .registerVariable('request', 'Request')
    .registerVariable('source', 'Source')
  return shared
}

const NO_CLAIMS: ReadonlyMap<string, unknown> = new Map()

/** Tokens are verified once and used often; so are their claims. */
const converted = new WeakMap<object, ReadonlyMap<string, unknown>>()

function celClaims({ token }: Facts): ReadonlyMap<string, unknown> {
  if (token === undefined) return NO_CLAIMS
  const known = converted.get(token.claims)
  if (known !== undefined) return known
  const claims = new Map(Object.entries(token.claims).map(([name, value]) => [name, celValue(value)]))
  const scope = claims.get('scope')
  if (typeof scope === 'string') claims.set('scope', scopeTokens(scope))
  converted.set(token.claims, claims)
  return claims
}

/** Maps, because they have no prototype to fall through to. */
function celValue(value: unknown): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(celValue)
  return new Map(Object.entries(value).map(([name, member]) => [name, celValue(member)]))
}

function describe(value: unknown): string {
  return JSON.stringify(value, (_, inner) => {
    if (typeof inner === 'bigint') return Number(inner)
    return inner instanceof Map ? Object.fromEntries(inner) : inner
  })
}

function summaryOf(error: unknown): string {
  const { summary, message } = error as { summary?: string; message?: string }
  return summary ?? message ?? String(error)
}

function byName(map: string): Issue {
  return wrong(
    `uses request.${map} without a name`,
    map === 'headers' ? "write the name out: request.headers['x-tenant']" : 'write the name out: request.query.page',
  )
}

function unknownFunction(called: string): Issue {
  return wrong(`calls ${called}`, `there are ${[...FUNCTIONS].join(', ')} and .${[...METHODS].join(', .')}`)
}

function malformed(what: string) {
  return fail(wrong(what, 'write CEL that comes to true or false, such as claims.sub == path.userId'))
}

function wrong(what: string, fix: string): Issue {
  return issue('malformed-when', '', what, fix)
}
