import { parseJsonPointer } from '../../model/match/json-pointer.ts'
import { type PathPattern, parsePathPattern } from '../../model/match/path.ts'
import { parseSpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'
import type { From, Rule } from '../../policies/authorization/config.ts'
import type { IssuerConfig } from '../../policies/jwt/config.ts'
import type { Asked, Claims } from './asked.ts'

/** One thing that could be different about a request. */
export interface Edit {
  /** What of the request it changes. */
  readonly field: string
  /** How it is told, `value` put in the place of `…`. */
  readonly wording: string
  readonly value: string
  apply(asked: Asked): Asked
}

/** Values of one field that are tried at most. */
const MAX_VALUES = 8

/** The ways to satisfy one condition of a rule; none where that is not for the request to change. */
export function editsFor(
  field: string,
  rule: Pick<Rule, 'from' | 'to' | 'when'>,
  asked: Asked,
  trustDomain: string,
): readonly Edit[] {
  const { from = {}, to = {} } = rule
  const claim = /^from\.claims\[(.*)\]$/.exec(field)?.[1]
  if (claim !== undefined) {
    const values = from.claims?.find((each) => each.claim === claim)?.values ?? []
    return values.slice(0, MAX_VALUES).flatMap((value) => setClaim(claim, value))
  }
  const header = /^to\.headers\[(.*)\]$/.exec(field)?.[1]
  if (header !== undefined) {
    const wanted = to.headers?.find(({ name }) => name.toLowerCase() === header)
    return [setHeader(header, wanted?.values?.[0] ?? 'any')]
  }
  switch (field) {
    case 'to.methods':
      return (to.methods ?? []).slice(0, MAX_VALUES).map(setMethod)
    case 'to.paths':
      return (to.paths ?? []).slice(0, MAX_VALUES).flatMap((pattern) => setPath(pattern, asked))
    case 'to.hosts':
      return (to.hosts ?? []).slice(0, MAX_VALUES).map(setHost)
    case 'when':
      return editsForWhen(rule, asked)
    default:
      return callerEdits(field, from, asked, trustDomain)
  }
}

function callerEdits(field: string, from: From, asked: Asked, trustDomain: string): readonly Edit[] {
  switch (field) {
    case 'from.serviceAccounts':
      return (from.serviceAccounts ?? []).slice(0, MAX_VALUES).map((account) => callAs(trustDomain, account))
    case 'from.spiffeIds':
      return (from.spiffeIds ?? []).slice(0, MAX_VALUES).map((id) => ({
        field: 'caller',
        wording: 'call as …',
        value: id,
        apply: (before) => ({ ...before, caller: id }),
      }))
    case 'from.namespaces':
      return (from.namespaces ?? []).slice(0, MAX_VALUES).map((namespace) => {
        const id = asked.caller === undefined ? undefined : parseSpiffeId(asked.caller)
        const own = id?.ok === true ? serviceAccountOf(id.value)?.serviceAccount : undefined
        return {
          field: 'caller',
          wording: 'call from a workload of namespace …',
          value: namespace,
          apply: (before) => ({ ...before, caller: `spiffe://${trustDomain}/ns/${namespace}/sa/${own ?? 'default'}` }),
        }
      })
    case 'from.ipBlocks':
      return (from.ipBlocks ?? []).slice(0, MAX_VALUES).map((block) => ({
        field: 'address',
        wording: 'call from an address in …',
        value: block,
        apply: (before) => ({ ...before, clientIp: block.split('/')[0] ?? '' }),
      }))
    case 'from.clients':
      return (from.clients ?? []).slice(0, MAX_VALUES).map(sendKeyOf)
    default:
      return []
  }
}

export function callAs(trustDomain: string, account: string): Edit {
  const caller = `spiffe://${trustDomain}/ns/${account.replace('/', '/sa/')}`
  return { field: 'caller', wording: 'call as …', value: account, apply: (before) => ({ ...before, caller }) }
}

/** A token of an issuer, with what the request's own token says of the rest. */
export function sendTokenOf({ name, issuer, audiences }: IssuerConfig): Edit {
  return {
    field: 'token',
    wording: 'send a token of …',
    value: name,
    apply: (before) => ({
      ...before,
      claims: { ...before.claims, iss: issuer, aud: [...audiences] },
      headers: before.headers.filter(([header]) => header !== 'authorization'),
    }),
  }
}

export function sendKeyOf(client: string): Edit {
  return { field: 'key', wording: 'send an API key of …', value: client, apply: (before) => ({ ...before, client }) }
}

function setMethod(method: string): Edit {
  return { field: 'method', wording: 'use …', value: method, apply: (before) => ({ ...before, method }) }
}

function setHost(pattern: string): Edit {
  const host = pattern.replace(/^\*/, 'any')
  return { field: 'host', wording: 'ask for host …', value: pattern, apply: (before) => ({ ...before, host }) }
}

function setHeader(name: string, value: string): Edit {
  return {
    field: `header ${name}`,
    wording: `send ${name}: …`,
    value,
    apply: (before) => ({ ...before, headers: [...before.headers.filter(([sent]) => sent !== name), [name, value]] }),
  }
}

/** `shown` has `{id}` where any segment will do; what is tried has the name alone. */
function toPath({ path, shown }: FilledPath): Edit {
  return { field: 'path', wording: 'ask for …', value: shown, apply: (before) => ({ ...before, path }) }
}

/** The path that is nearest to what was asked for: its own segments where the pattern takes them, else the variable's name. */
function setPath(text: string, asked: Asked): readonly Edit[] {
  const pattern = parsePathPattern(text)
  return pattern.ok ? [toPath(fill(pattern.value, asked.path, {}))] : []
}

interface FilledPath {
  readonly path: string
  readonly shown: string
}

function fill({ segments }: PathPattern, path: string, values: Readonly<Record<string, string>>): FilledPath {
  const own = path.slice(1).split('/')
  const made = segments.flatMap((segment, i): readonly (readonly [path: string, shown: string])[] => {
    if (segment.kind === 'rest') return own.slice(i).map((each) => [each, each])
    if (segment.kind === 'literal') return [[segment.text, segment.text]]
    const known = (segment.kind === 'variable' ? values[segment.name] : undefined) ?? own[i]
    if (known) return [[known, known]]
    const name = segment.kind === 'variable' ? segment.name : 'any'
    return [[name, `{${name}}`]]
  })
  return { path: `/${made.map(([each]) => each).join('/')}`, shown: `/${made.map(([, each]) => each).join('/')}` }
}

/** The value at a JSON Pointer of the claims. A scope is a list of words, and gets one more. */
function setClaim(pointer: string, value: string): readonly Edit[] {
  const parsed = parseJsonPointer(pointer)
  if (!parsed.ok) return []
  const keys = pointer
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  const isScope = pointer === '/scope'
  return [
    {
      field: `claim ${pointer} ${isScope ? value : ''}`,
      wording: isScope ? 'send a token whose scope has …' : `send a token whose ${pointer} is …`,
      value,
      apply(before) {
        const now = parsed.value.read(before.claims)
        const next = isScope && typeof now === 'string' && now !== '' ? `${now} ${value}` : value
        return { ...before, claims: withClaim(before.claims ?? {}, keys, next) as Claims }
      },
    },
  ]
}

function withClaim(claims: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value
  const members = typeof claims === 'object' && claims !== null && !Array.isArray(claims) ? (claims as Claims) : {}
  return { ...members, [key]: withClaim(Object.hasOwn(members, key) ? members[key] : undefined, rest, value) }
}

/**
 * What would make the parts of an expression true that have one of the common forms. Whether the whole is true then is for
 * whoever tries it.
 */
function editsForWhen({ to, when = '' }: Pick<Rule, 'to' | 'when'>, asked: Asked): readonly Edit[] {
  return when.split('&&').flatMap((part) => {
    const text = part.trim().replace(/^\((.*)\)$/, '$1')
    const member = /^(['"])([^'"]*)\1 in claims\.(\w+)$/.exec(text)
    if (member) return setClaim(`/${member[3]}`, member[2] ?? '')
    const literal = /^claims\.([\w.]+) == (['"])([^'"]*)\2$/.exec(text) ?? undefined
    if (literal) return setClaim(`/${(literal[1] ?? '').replaceAll('.', '/')}`, literal[3] ?? '')
    const equal =
      /^claims\.(?<claim>[\w.]+) == path\.(?<variable>\w+)$/.exec(text) ??
      /^path\.(?<variable>\w+) == claims\.(?<claim>[\w.]+)$/.exec(text)
    const { claim = '', variable = '' } = equal?.groups ?? {}
    return equal === null ? [] : editsForOwn(`/${claim.replaceAll('.', '/')}`, variable, to?.paths ?? [], asked)
  })
}

/** A claim that must be what the path says: ask for what is one's own, or be whom it belongs to. */
function editsForOwn(pointer: string, variable: string, paths: readonly string[], asked: Asked): readonly Edit[] {
  const claim = parseJsonPointer(pointer)
  const own = claim.ok ? claim.value.read(asked.claims) : undefined
  return paths.flatMap((text): readonly Edit[] => {
    const pattern = parsePathPattern(text)
    if (!pattern.ok || !pattern.value.names.includes(variable)) return []
    const owner = pattern.value.variables(asked.path)?.[variable]
    return [
      ...(typeof own === 'string'
        ? [toPath(fill(pattern.value, asked.path, { [variable]: encodeURIComponent(own) }))]
        : []),
      ...(owner === undefined ? [] : setClaim(pointer, owner)),
    ]
  })
}
