import type { Facts, RequestView } from '../../model/request.ts'
import { cookieValues, stripCookies } from '../request-cookies.ts'
import type { TokenLocation } from './config.ts'

/** What one place holds: a token, nothing, or more than one. */
export type TokenFound = string | undefined | typeof SEVERAL

/** More than one token; which one would count is a matter of who reads (T24). */
export const SEVERAL = Symbol('several tokens')

/** A place where a token may be, made ready to look. */
export interface TokenPlace {
  /** For people: `authorization header`, `sid cookie`. */
  readonly label: string
  /** The token's text as sent, however malformed; empty when its place is there and nothing is in it. */
  find(request: RequestView): TokenFound
  /** Has the upstream's request go without what is found here. */
  strip(request: RequestView, facts: Facts): void
}

export function tokenPlaceOf(location: TokenLocation): TokenPlace {
  return location.kind === 'cookie' ? cookiePlace(location.name) : headerPlace(location.name, location.scheme)
}

const NO_LOGIN: Facts = Object.freeze({})

/** The token of a request and where it was; `several` when there is more than one, in one place or in two. */
export function findToken(
  places: readonly TokenPlace[],
  request: RequestView,
  { loginToken }: Facts = NO_LOGIN,
): { readonly text: string; readonly place: TokenPlace } | typeof SEVERAL | undefined {
  let found: { readonly text: string; readonly place: TokenPlace } | undefined
  if (loginToken !== undefined) found = { text: loginToken, place: LOGIN }
  for (const place of places) {
    const text = place.find(request)
    if (text === undefined) continue
    if (text === SEVERAL || found !== undefined) return SEVERAL
    found = { text, place }
  }
  return found
}

/**
 * The field is there once or not at all, whatever scheme its lines have: of two lines, nobody knows which one the
 * application reads. Nor is it one token when a proxy made one line of two.
 */
function headerPlace(name: string, scheme: string | undefined): TokenPlace {
  return {
    label: `${name} header`,
    find(request) {
      const values = request.headers(name)
      if (values.length === 0) return undefined
      if (values.length > 1) return SEVERAL
      const value = values[0] as string
      const text = scheme === undefined ? value : afterScheme(value, scheme)
      return text?.includes(',') && LIST_OF_TOKENS.test(text) ? SEVERAL : text
    },
    strip(request, facts) {
      if (this.find(request) !== undefined) remove(facts, name)
    },
  }
}

/** RFC 9110, 11.4: the scheme without regard to case, one space or more, the token. */
function afterScheme(value: string, scheme: string): string | undefined {
  const end = scheme.length
  if (value.length < end || value.slice(0, end).toLowerCase() !== scheme) return undefined
  if (value.length === end) return ''
  if (value.charCodeAt(end) !== SPACE) return undefined
  let start = end + 1
  while (value.charCodeAt(start) === SPACE) start++
  return value.slice(start)
}

/** A browser may send several Cookie lines over HTTP/2 (RFC 9113, 8.2.3), so the lines may be many, the cookie may not. */
function cookiePlace(name: string): TokenPlace {
  return {
    label: `${name} cookie`,
    find(request) {
      const values = cookieValues(request, name)
      return values.length > 1 ? SEVERAL : values[0]
    },
    strip: (request, facts) => stripCookies(request, facts, (each) => each === name),
  }
}

/** The token that a login at the gateway brought: another filter has put it into the request that goes on. */
const LOGIN: TokenPlace = {
  label: 'session',
  find: () => undefined,
  strip: (_request, facts) => dropLogin(facts),
}

/** Has the upstream's request go without the token of a login. */
export function dropLogin(facts: Facts): void {
  if (facts.loginToken === undefined) return
  facts.setRequestHeaders = facts.setRequestHeaders?.filter(([name]) => name !== 'authorization') ?? []
}

function remove(facts: Facts, name: string): void {
  facts.removeRequestHeaders ??= []
  facts.removeRequestHeaders.push(name)
}

const SPACE = 0x20
/** Tokens with commas between them, with or without the scheme before each. */
const LIST_OF_TOKENS = /^[\w.-]+(?: *, *(?:[A-Za-z][A-Za-z0-9-]* +)?[\w.-]+)+$/
