import { fail, issue, ok, type Result } from '../result.ts'

/** A place in a JSON value (RFC 6901), such as `/org/dept` in the claims of a token. */
export interface JsonPointer {
  readonly text: string
  /** Undefined when there is nothing; looks at own members only. */
  read(value: unknown): unknown
}

const MAX_LENGTH = 256
const MAX_TOKENS = 16
const BAD_ESCAPE = /~(?![01])/
const ARRAY_INDEX = /^(?:0|[1-9][0-9]{0,5})$/

/** The empty pointer (the whole value) is refused: no claim is meant by it. */
export function parseJsonPointer(text: string): Result<JsonPointer> {
  if (!text.startsWith('/')) return malformed('does not start with /', `write /${text.replaceAll('.', '/')}`)
  if (text.length > MAX_LENGTH) return malformed(`is longer than ${MAX_LENGTH} characters`)
  if (BAD_ESCAPE.test(text)) return malformed('has a ~ that is neither ~0 nor ~1', 'write ~0 for ~ and ~1 for /')
  const tokens = text
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (tokens.length > MAX_TOKENS) return malformed(`is deeper than ${MAX_TOKENS}`)
  return ok({ text, read: (value) => follow(tokens, value) })
}

function follow(tokens: readonly string[], value: unknown): unknown {
  let at = value
  for (const token of tokens) {
    if (typeof at !== 'object' || at === null) return undefined
    if (Array.isArray(at) && !ARRAY_INDEX.test(token)) return undefined
    if (!Object.hasOwn(at, token)) return undefined
    at = (at as Record<string, unknown>)[token]
  }
  return at
}

function malformed(what: string, fix = 'write a JSON Pointer such as /org/dept') {
  return fail(issue('malformed-json-pointer', '', what, fix))
}
