import { Refusal } from './api.ts'

/** How long a peer may take for a whole answer. */
const TIMEOUT_MS = 5_000

const PASSED_ON = ['authorization', 'traceparent', 'tracestate', 'x-request-id'] as const

/** Headers of the request being served that belong to the calls it causes: whose request it is, its trace and its id. */
export type Caller = { readonly [name in (typeof PASSED_ON)[number]]?: string | readonly string[] | undefined }

export interface PeerAnswer {
  readonly status: number
  readonly headers: Headers
  /** The parsed body; undefined when there is none or it is no JSON. */
  readonly body: unknown
}

/**
 * Calls another service by its name, over plain HTTP, on behalf of the request being served.
 *
 * Throws Refusal 502 when the peer cannot be reached or does not answer within 5 s; every answer it gives is returned.
 */
export async function callPeer(
  url: string,
  init: { method?: string; json?: unknown; headers?: Record<string, string> },
  incoming: Caller,
): Promise<PeerAnswer> {
  const headers = new Headers(init.headers)
  for (const name of PASSED_ON) {
    const value = incoming[name]
    if (typeof value === 'string') headers.set(name, value)
  }
  const request: RequestInit = { method: init.method ?? 'GET', headers, signal: AbortSignal.timeout(TIMEOUT_MS) }
  if (init.json !== undefined) {
    headers.set('content-type', 'application/json')
    request.body = JSON.stringify(init.json)
  }
  try {
    const response = await fetch(url, request)
    return { status: response.status, headers: response.headers, body: parseJson(await response.text()) }
  } catch (cause) {
    throw Object.assign(new Refusal(502, `${new URL(url).hostname} does not answer`), { cause })
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
