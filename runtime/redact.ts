/** What stands in the place of a secret. */
export const REDACTED = '[redacted]'

/**
 * A copy of `fields` that is safe to print: values under names that carry secrets, and strings that look like a token
 * or a private key wherever they stand, are replaced by `[redacted]`.
 *
 * The copy is bounded (depth 6, 64 members a level, 8,192 characters a string), survives cycles and throwing getters,
 * and shows bytes by their length only. It is the last line of defence: callers do not log secrets in the first place.
 */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactObject(fields, 0)
}

/** Whether values under this field name are never printed. Case, `-`, `_` and `.` prefixes make no difference. */
export function isSecretName(name: string): boolean {
  const known = judged.get(name)
  if (known !== undefined) return known
  const lastPart = name.slice(name.lastIndexOf('.') + 1)
  const word = lastPart.replace(/[^a-zA-Z0-9]/g, '').toLowerCase()
  const secret = SECRET_WORDS.has(word) || SECRET_ENDINGS.some((ending) => word.endsWith(ending))
  if (judged.size >= MAX_JUDGED_NAMES) judged.clear()
  judged.set(name, secret)
  return secret
}

/** `text` without compact JWS or JWE tokens, bearer and basic credentials, URL passwords and PEM private keys. */
export function redactText(text: string): string {
  const short = text.length > MAX_STRING ? `${text.slice(0, MAX_STRING)}…` : text
  return SUSPECT.test(short) ? short.replace(SECRETS_IN_TEXT, REDACTED) : short
}

const SECRET_WORDS: ReadonlySet<string> = new Set([
  'auth',
  'authorization',
  'body',
  'cookie',
  'cookies',
  'credential',
  'credentials',
  'd',
  'jwt',
  'pem',
  'pfx',
  'proxyauthorization',
  'secret',
  'secrets',
  'setcookie',
])

const SECRET_ENDINGS: readonly string[] = [
  'accesskey',
  'apikey',
  'assertion',
  'authorizationheader',
  'clientsecret',
  'codeverifier',
  'encryptionkey',
  'keypem',
  'passphrase',
  'passwd',
  'password',
  'privatekey',
  'secretkey',
  'sessionid',
  'signingkey',
  'token',
]

/** Field names come from our own code, but headers and claims may be among them. */
const MAX_JUDGED_NAMES = 4_096
const judged = new Map<string, boolean>()

const MAX_DEPTH = 6
const MAX_MEMBERS = 64
const MAX_STRING = 8_192

/** Cheap and loose: nearly every line of a log stops here. */
const SUSPECT = /ey[JI]|PRIVATE KEY|bearer|basic|:\/\/[^\s/]*@/i

const SECRETS_IN_TEXT = new RegExp(
  [
    String.raw`\bey[JI][A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}`,
    String.raw`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`,
    String.raw`\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}`,
    String.raw`(?<=:\/\/[^\s/@:]*:)[^\s/@]+(?=@)`,
  ].join('|'),
  'gi',
)

function redactObject(value: object, depth: number): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  let members = 0
  for (const name of Object.keys(value)) {
    if (members++ >= MAX_MEMBERS) {
      copy['…'] = 'more members left out'
      break
    }
    if (isSecretName(name)) {
      copy[name] = REDACTED
      continue
    }
    try {
      copy[name] = redactValue((value as Record<string, unknown>)[name], depth + 1)
    } catch {
      copy[name] = '[unreadable]'
    }
  }
  return copy
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value)
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value
  if (value instanceof Error) return redactError(value, depth)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof URL) return redactText(value.href)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (depth >= MAX_DEPTH) return '[deeper]'
  if (value instanceof Map || value instanceof Set) return `[${value.size} entries]`
  if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map((item) => redactValue(item, depth + 1))
  return redactObject(value, depth)
}

function redactError(error: Error, depth: number): unknown {
  return {
    type: error.name,
    message: redactText(error.message),
    ...(error.cause !== undefined && depth < MAX_DEPTH ? { cause: redactValue(error.cause, depth + 1) } : {}),
  }
}
