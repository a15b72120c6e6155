/**
 * Names whose meaning belongs to HTTP's framing, to the mesh, or to what was decided already: a service that is asked may not
 * change them. Host and path are what rules were asked about; whatever says who calls is the mesh's to say.
 */
const KEPT: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'te',
  'traceparent',
  'tracestate',
  'trailer',
  'transfer-encoding',
  'true-client-ip',
  'txn-token',
  'upgrade',
  'via',
  'x-real-ip',
])
const KEPT_PREFIXES = ['hauberk-', 'proxy-', 'x-forwarded-', 'x-hauberk-']

/** Whether a service may have the application, or the client, told something under this name; in lower case. */
export function mayBeTold(name: string): boolean {
  return TOKEN.test(name) && !KEPT.has(name) && !KEPT_PREFIXES.some((prefix) => name.startsWith(prefix))
}

/** RFC 9110, 5.5, without what could split a message. */
export function isFieldValue(value: string): boolean {
  return FIELD_VALUE.test(value) && value.length <= MAX_VALUE_LENGTH
}

const MAX_VALUE_LENGTH = 8_192
/** RFC 9110, 5.6.2; with `_` nobody knows which name it is, so it is none. */
const TOKEN = /^[a-z0-9!#$%&'*+.^`|~-]{1,64}$/
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/
