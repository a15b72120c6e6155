import type { LookupAddress, LookupOptions } from 'node:dns'
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type Socket } from 'node:net'
import { isBlockedAddress } from './addresses.ts'

/** Bytes of a JWKS at most (T25). */
export const MAX_JWKS_BYTES = 1_048_576

/** Milliseconds from the first packet to the last byte (T25). */
export const FETCH_TIMEOUT_MS = 2_000

/** A JWKS as its issuer published it. */
export interface FetchedJwks {
  /** The JWKs as sent; nothing about them is checked but that they are objects. */
  readonly keys: readonly Readonly<Record<string, unknown>>[]
  /** `max-age` of Cache-Control in milliseconds; undefined when it says none. */
  readonly maxAgeMs?: number
}

/** An issuer's keys could not be had. `reason` is stable. */
export class JwksError extends Error {
  override readonly name = 'JwksError'
  readonly reason: 'unreachable' | 'timeout' | 'status' | 'redirect' | 'too-large' | 'not-a-jwks' | 'blocked-address'

  constructor(reason: JwksError['reason'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.reason = reason
  }
}

/** How to get to an issuer. */
export type JwksRoute =
  /** A Service of the mesh: `connect` gives a socket whose peer has proved the SPIFFE ID that serves it. */
  | { readonly kind: 'mesh'; readonly connect: () => Promise<Socket> }
  /** A host outside, by HTTPS and the public certificate authorities. */
  | {
      readonly kind: 'outside'
      readonly lookup: (host: string) => Promise<readonly LookupAddress[]>
      /** Extra trust anchors in PEM, beside the public ones. */
      readonly ca?: readonly string[]
      /** For tests of this function alone. */
      readonly isBlocked?: (address: string) => boolean
    }

/**
 * Gets a JWKS: one request, no redirect, at most 1 MiB and 2 s, and never from an address of {@link isBlockedAddress},
 * checked on what the name resolved to and on nothing older (no rebinding).
 */
export async function fetchJwks(uri: URL, route: JwksRoute, signal: AbortSignal): Promise<FetchedJwks> {
  const timeUp = AbortSignal.timeout(FETCH_TIMEOUT_MS)
  const either = AbortSignal.any([signal, timeUp])
  try {
    const response = await send(uri, route, either)
    return await readJwks(response)
  } catch (cause) {
    if (cause instanceof JwksError) throw cause
    if (timeUp.aborted) throw new JwksError('timeout', `no complete answer in ${FETCH_TIMEOUT_MS} ms`, cause)
    throw new JwksError('unreachable', cause instanceof Error ? cause.message : String(cause), cause)
  }
}

async function send(uri: URL, route: JwksRoute, signal: AbortSignal): Promise<IncomingMessage> {
  const common: RequestOptions = {
    method: 'GET',
    path: uri.pathname + uri.search,
    headers: { host: uri.host, accept: 'application/jwk-set+json, application/json' },
    signal,
  }
  if (route.kind === 'mesh') {
    // Node uses `createConnection` only where no agent is named.
    const socket = await route.connect()
    return await answered(httpRequest({ ...common, createConnection: () => socket }))
  }
  if (uri.protocol !== 'https:') throw new JwksError('unreachable', 'outside the mesh only https is spoken')
  const isBlocked = route.isBlocked ?? isBlockedAddress
  const host = uri.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && isBlocked(host)) throw new JwksError('blocked-address', `${host} is a blocked address`)
  return await answered(
    httpsRequest({
      ...common,
      agent: false,
      host,
      port: uri.port === '' ? 443 : Number(uri.port),
      ...(route.ca && { ca: [...route.ca] }),
      lookup(name, options, callback) {
        route.lookup(name).then(
          (addresses) => answerLookup(addresses, isBlocked, options, callback),
          (error: NodeJS.ErrnoException) => callback(error, '', 4),
        )
      },
    }),
  )
}

/** One blocked address among several refuses them all: a name that points at metadata is not to be trusted in part. */
function answerLookup(
  addresses: readonly LookupAddress[],
  isBlocked: (address: string) => boolean,
  options: LookupOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
): void {
  const bad = addresses.find(({ address }) => isBlocked(address))
  const [first] = addresses
  if (bad !== undefined) {
    callback(new JwksError('blocked-address', `the name resolves to ${bad.address}, a blocked address`), '')
  } else if (first === undefined) callback(new JwksError('unreachable', 'the name has no address'), '')
  else if (options.all === true) callback(null, [...addresses])
  else callback(null, first.address, first.family)
}

function answered(request: ReturnType<typeof httpRequest>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.once('error', reject)
    request.end()
  })
}

async function readJwks(response: IncomingMessage): Promise<FetchedJwks> {
  const { statusCode = 0 } = response
  if (statusCode >= 300 && statusCode < 400) {
    response.destroy()
    throw new JwksError('redirect', `answered ${statusCode}; redirects are not followed`)
  }
  if (statusCode !== 200) {
    response.destroy()
    throw new JwksError('status', `answered ${statusCode}`)
  }
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_JWKS_BYTES) {
      response.destroy()
      throw new JwksError('too-large', `has more than ${MAX_JWKS_BYTES} bytes`)
    }
    chunks.push(chunk)
  }
  const keys = parseJwks(Buffer.concat(chunks, bytes).toString('utf8'))
  const maxAgeMs = maxAge(response.headers['cache-control'])
  return maxAgeMs === undefined ? { keys } : { keys, maxAgeMs }
}

/** Keys of one set at most; a set of more is a mistake or an attack. */
const MAX_KEYS = 100

/** Members of a JWK (RFC 7518, 6) that are private: they are never pushed, should an issuer publish them by mistake. */
const PRIVATE_MEMBERS: ReadonlySet<string> = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])

/** The public keys of a JWK Set (RFC 7517, 5). Symmetric keys are left out: they must never verify anything here. */
export function parseJwks(text: string): readonly Readonly<Record<string, unknown>>[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new JwksError('not-a-jwks', 'is not JSON', cause)
  }
  const keys = typeof parsed === 'object' && parsed !== null ? (parsed as { readonly keys?: unknown }).keys : undefined
  if (!Array.isArray(keys)) throw new JwksError('not-a-jwks', 'has no array "keys"')
  if (keys.length > MAX_KEYS) throw new JwksError('not-a-jwks', `has more than ${MAX_KEYS} keys`)
  const usable = keys
    .filter((key) => typeof key === 'object' && key !== null && !Array.isArray(key) && key.kty !== 'oct')
    .map((key) => Object.fromEntries(Object.entries(key as object).filter(([name]) => !PRIVATE_MEMBERS.has(name))))
  if (usable.length === 0) throw new JwksError('not-a-jwks', 'holds no public key')
  return usable
}

function maxAge(cacheControl: string | undefined): number | undefined {
  const seconds = /(?:^|[,\s])max-age=(\d{1,9})(?:[,\s]|$)/i.exec(cacheControl ?? '')?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1_000
}
