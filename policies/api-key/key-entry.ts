import { fail, type Issue, issue, ok, type Result } from '../../model/result.ts'
import { type ApiKey, CLIENT_ID, KEY_HASH, MAX_CLIENT_LENGTH } from './config.ts'

/** What every key begins with, by which scanners of source code find one that was let slip. */
export const KEY_PREFIX = 'hauberk_'

/** Characters of a key at most. One of `hauberk api-key create` has 51. */
export const MAX_KEY_LENGTH = 256

/** The text of one entry of a Secret of keys: `{"client":"acme","sha256":"...","expires":"2027-01-01T00:00:00Z"}`. */
export function formatKeyEntry({ client, sha256, expiresAtMs }: ApiKey): string {
  const expires = expiresAtMs === undefined ? {} : { expires: new Date(expiresAtMs).toISOString() }
  return JSON.stringify({ client, sha256, ...expires })
}

/** What an entry is called in its Secret: the client, and enough of the hash to tell its keys apart. */
export function keyEntryName({ client, sha256 }: Pick<ApiKey, 'client' | 'sha256'>): string {
  return `${client}.${sha256.slice(0, 8)}`
}

/** Reads what {@link formatKeyEntry} writes. A member that it does not know is refused: it may have meant a limit. */
export function parseKeyEntry(text: string): Result<ApiKey> {
  const wrong = (message: string, fix = 'write it by `hauberk api-key create`'): Issue =>
    issue('malformed-api-key', '', message, fix)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return fail(wrong('is no JSON'))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(wrong('is no JSON object'))
  const { client, sha256, expires, ...others } = value as Readonly<Record<string, unknown>>
  const issues: Issue[] = []
  const [other] = Object.keys(others)
  if (other !== undefined) issues.push(wrong(`has the member ${JSON.stringify(other.slice(0, 64))}, which is unknown`))
  if (typeof client !== 'string' || !CLIENT_ID.test(client)) {
    issues.push(wrong(`has no client of 1 to ${MAX_CLIENT_LENGTH} characters a-z, 0-9, -, . and _`))
  }
  if (typeof sha256 !== 'string' || !KEY_HASH.test(sha256)) {
    issues.push(wrong('has no sha256 of 43 base64url characters', 'keys are kept hashed: never write the key itself'))
  }
  const expiresAtMs = typeof expires === 'string' && DATE.test(expires) ? Date.parse(expires) : Number.NaN
  if (expires !== undefined && Number.isNaN(expiresAtMs)) {
    issues.push(wrong('has an expires that is no date', 'write 2027-01-01T00:00:00Z'))
  }
  if (issues.length > 0) return fail(...issues)
  return ok({
    client: client as string,
    sha256: sha256 as string,
    ...(expires !== undefined && { expiresAtMs }),
  })
}

/** RFC 3339, in UTC. */
const DATE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z$/
