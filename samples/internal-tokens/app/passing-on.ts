import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, RequestListener } from 'node:http'

/** The `traceparent` of the request that is being answered. */
const current = new AsyncLocalStorage<string | undefined>()

/** A listener whose calls, by the `call` below, belong to the request that it answers. */
export function passingOn(listener: RequestListener): RequestListener {
  return (request, response) => current.run(traceOf(request), () => listener(request, response))
}

/** `fetch`, with the `traceparent` of the request that is being answered. */
export function call(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  const trace = current.getStore()
  if (trace !== undefined) headers.set('traceparent', trace)
  return fetch(url, { ...init, headers })
}

function traceOf({ headers }: IncomingMessage): string | undefined {
  const { traceparent } = headers
  return typeof traceparent === 'string' ? traceparent : undefined
}
