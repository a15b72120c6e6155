import type { BackendCalls, BackendResponse, CallFailure } from '../../model/backend-calls.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import { type Answer, denyingStatus, unusable } from './answer.ts'
import type { AuthorizerConfig } from './config.ts'
import { isFieldValue, mayBeTold } from './header-names.ts'
import type { ToldRequest } from './told-request.ts'

/** Bytes of the body of an answer. */
const MAX_ANSWER_BYTES = 65_536

/** Headers of a denial that the client is told where the policy names none. */
const CLIENT_HEADERS = ['content-type', 'location', 'retry-after', 'set-cookie', 'www-authenticate']

/** Asks a service that speaks HTTP: 2xx allows, 5xx is no answer, whatever else denies. */
export async function askHttp(
  authorizer: AuthorizerConfig,
  told: ToldRequest,
  calls: BackendCalls,
  signal: AbortSignal,
): Promise<Answer> {
  const { upstream, authority, path, timeoutMs } = authorizer
  const target = `${told.path}${told.query}`
  const headers: HeaderPair[] = [
    ...told.headers,
    ['x-asked-method', told.method],
    ['x-asked-uri', target],
    ['x-asked-host', told.host],
    ['x-asked-scheme', told.scheme],
    ['x-asked-ip', told.clientIp],
    // As nginx names them, for services outside of the mesh: a sidecar takes these from nobody (T12).
    ['x-original-method', told.method],
    ['x-original-uri', target],
  ]
  if (told.principal !== '') headers.push(['x-asked-principal', told.principal])
  if (told.id !== '') headers.push(['x-asked-id', told.id])
  const asked = path === undefined ? { method: told.method, path: target } : { method: 'GET', path }
  const request = { ...asked, authority, headers, timeoutMs, maxResponseBytes: MAX_ANSWER_BYTES }
  return answerOf(authorizer, await calls.call(upstream, request, signal))
}

function answerOf(
  { upstreamHeaders = [], clientHeaders = CLIENT_HEADERS }: AuthorizerConfig,
  said: BackendResponse | CallFailure,
): Answer {
  if (said.kind === 'failure') return { kind: 'none', reason: said.reason, detail: said.detail }
  const { status, headers, body } = said
  if (status >= 500) return { kind: 'none', reason: 'error', detail: `it answered ${status}` }
  const chosen = (names: readonly string[]) => headers.filter(([name]) => names.includes(name) && mayBeTold(name))
  if (status >= 200 && status < 300) {
    const told = chosen(upstreamHeaders)
    const broken = told.find(([, value]) => !isFieldValue(value))
    if (broken !== undefined) return unusable(`its header ${broken[0]} is no header`)
    return {
      kind: 'allowed',
      upstreamHeaders: told.map(([name, value], i) => ({
        how: told.findIndex(([each]) => each === name) === i ? 'set' : 'append',
        ...{ name, value },
      })),
      // What only the service may say, nobody else has said.
      removeHeaders: upstreamHeaders,
      clientHeaders: [],
    }
  }
  return {
    kind: 'denied',
    status: denyingStatus(status),
    headers: chosen(clientHeaders).filter(([, value]) => isFieldValue(value)),
    body: body.length === 0 ? undefined : new TextDecoder().decode(body),
  }
}
