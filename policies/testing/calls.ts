import type { BackendCalls, BackendRequest, BackendResponse, CallFailure } from '../../model/backend-calls.ts'
import type { HeaderPair } from '../../model/verdict.ts'

/** What a service says to each call. */
export type Answering = (
  upstream: string,
  request: BackendRequest,
) => BackendResponse | CallFailure | Promise<BackendResponse | CallFailure>

export interface ScriptedCalls extends BackendCalls {
  /** Every call so far. */
  readonly asked: readonly { readonly upstream: string; readonly request: BackendRequest }[]
  /** Calls that whoever asked gave up. */
  readonly abandoned: number
}

/** A service that is asked in a test without a network. */
export function scriptedCalls(answer: Answering): ScriptedCalls {
  const asked: { upstream: string; request: BackendRequest }[] = []
  let abandoned = 0
  return {
    asked,
    get abandoned() {
      return abandoned
    },
    call(upstream, request, signal) {
      asked.push({ upstream, request })
      const given = new Promise<CallFailure>((resolve) => {
        signal?.addEventListener('abort', () => {
          abandoned += 1
          resolve({ kind: 'failure', reason: 'abandoned', detail: 'given up' })
        })
      })
      return Promise.race([Promise.resolve(answer(upstream, request)), given])
    },
  }
}

export function answered(
  status: number,
  headers: readonly HeaderPair[] = [],
  body: string | Uint8Array = '',
  trailers: readonly HeaderPair[] = [],
): BackendResponse {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return { kind: 'response', status, headers, body: bytes, trailers }
}

export function failed(reason: CallFailure['reason']): CallFailure {
  return { kind: 'failure', reason, detail: `it was ${reason}` }
}
