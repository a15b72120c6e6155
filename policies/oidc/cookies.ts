import type { Facts, RequestView } from '../../model/request.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import { cookieNames, cookieValues, stripCookies } from '../request-cookies.ts'

/** Characters of one cookie: browsers take 4,096 with its name and attributes (RFC 6265, 6.1). */
export const MAX_CHUNK = 3_800

/** Cookies that one session may take. With them a request's head stays below what the mesh takes. */
export const MAX_CHUNKS = 3

/** Logins that one browser may have begun and not finished, such as in several tabs. Beyond it, none of them is kept. */
export const MAX_LOGINS = 8

/** Seconds that a login may take, with a password, a second factor and a coffee. */
export const LOGIN_SECONDS = 900

/**
 * The cookies of a browser's session and of the logins that it has begun. All of them are `__Host-`: sent to this host alone, by
 * HTTPS, and written by nobody else, not even by a sibling of it (RFC 6265bis, 4.1.3.2); HttpOnly, and SameSite=Lax, since the
 * provider's redirect comes from another site.
 */
export class Cookies {
  readonly #session: string
  readonly #login: string

  constructor(name: string) {
    this.#session = `__Host-${name}`
    this.#login = `__Host-${name}-login-`
  }

  /** Characters of a session at most. */
  get maxSession(): number {
    return MAX_CHUNK * MAX_CHUNKS - 2
  }

  hasSession(request: RequestView): boolean {
    return cookieValues(request, this.#session).length > 0
  }

  /** What a session's cookies hold together; undefined where one of them is missing, or there twice. */
  session(request: RequestView): string | undefined {
    const first = this.#one(request, this.#session)
    const count = first === undefined ? undefined : COUNTED.exec(first)?.[1]
    if (first === undefined || count === undefined) return undefined
    let text = first.slice(count.length + 1)
    for (let i = 1; i < Number(count); i++) {
      const chunk = this.#one(request, this.#chunk(i))
      if (chunk === undefined) return undefined
      text += chunk
    }
    return text
  }

  /** Undefined: it takes more than `MAX_CHUNKS`. */
  setSession(text: string, maxAgeSeconds: number, request: RequestView): readonly HeaderPair[] | undefined {
    const count = Math.ceil((text.length + 2) / MAX_CHUNK)
    if (count > MAX_CHUNKS) return undefined
    const whole = `${count}:${text}`
    const lines = Array.from({ length: count }, (_, i) =>
      setCookie(this.#chunk(i), whole.slice(i * MAX_CHUNK, (i + 1) * MAX_CHUNK), maxAgeSeconds),
    )
    return [...lines, ...this.#clearChunks(request, count)]
  }

  /** What the request has of it. */
  clearSession(request: RequestView): readonly HeaderPair[] {
    return this.#clearChunks(request, 0)
  }

  login(request: RequestView, state: string): string | undefined {
    return this.#one(request, this.#loginName(state))
  }

  setLogin(state: string, text: string, request: RequestView): readonly HeaderPair[] {
    const others = cookieNames(request).filter((name) => name.startsWith(this.#login))
    const forgotten = others.length < MAX_LOGINS ? [] : others.slice(0, MAX_LOGINS * 2).map(clearCookie)
    return [...forgotten, setCookie(this.#loginName(state), text, LOGIN_SECONDS)]
  }

  clearLogin(state: string): HeaderPair {
    return clearCookie(this.#loginName(state))
  }

  /** No application gets to see any of them. */
  strip(request: RequestView, facts: Facts): void {
    stripCookies(request, facts, (name) => this.#isOwn(name))
  }

  #isOwn(name: string): boolean {
    if (name === this.#session || name.startsWith(this.#login)) return true
    return name.startsWith(`${this.#session}.`)
  }

  #chunk(i: number): string {
    return i === 0 ? this.#session : `${this.#session}.${i}`
  }

  #clearChunks(request: RequestView, from: number): readonly HeaderPair[] {
    return Array.from({ length: MAX_CHUNKS }, (_, i) => this.#chunk(i))
      .slice(from)
      .filter((name) => cookieValues(request, name).length > 0)
      .map(clearCookie)
  }

  #loginName(state: string): string {
    return `${this.#login}${state.slice(0, STATE_CHARACTERS)}`
  }

  #one(request: RequestView, name: string): string | undefined {
    const values = cookieValues(request, name)
    return values.length === 1 ? values[0] : undefined
  }
}

const STATE_CHARACTERS = 8
const COUNTED = new RegExp(`^([1-${MAX_CHUNKS}]):`)
const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Lax'

function setCookie(name: string, value: string, maxAgeSeconds: number): HeaderPair {
  return ['set-cookie', `${name}=${value}; Max-Age=${maxAgeSeconds}; ${ATTRIBUTES}`]
}

function clearCookie(name: string): HeaderPair {
  return ['set-cookie', `${name}=; Max-Age=0; ${ATTRIBUTES}`]
}
