import type { RefusalForm } from '../../model/request.ts'
import type { Denial, HeaderPair } from '../../model/verdict.ts'
import { BACKEND_UNRESOLVED, NO_ROUTE } from './denials.ts'
import { grpcStatusLines } from './grpc.ts'
import { PROBLEM_JSON, problemJson } from './local-response.ts'

/** A refusal as the client sees it. */
export interface ToldRefusal {
  /** The refusal's own status, in HTTP's terms: for the record. */
  readonly meaning: number
  readonly status: number
  readonly headers: readonly HeaderPair[]
  readonly body: string | undefined
}

const TEXT: HeaderPair = ['content-type', 'text/plain; charset=utf-8']

/**
 * Puts a refusal into the form that the `response` section asks for; problem+json with the denial's own status without
 * one. A refusal that is hidden has nothing of its own left: neither name nor headers differ from those of a 404. A call of
 * gRPC is told it in gRPC's own form, a response of nothing but trailers, whatever the format.
 */
export function tellRefusal(
  denial: Denial,
  headers: readonly HeaderPair[],
  form: RefusalForm | undefined,
  decisionId: string,
  toGrpc = false,
): ToldRefusal {
  if (form === undefined) return inFormat(toGrpc ? 'grpc' : 'problem-json', denial, headers, decisionId)
  const { hidesExistence, deniedStatus } = form
  const format = toGrpc ? 'grpc' : form.format
  if (hidesExistence && (denial.status === 401 || denial.status === 403)) {
    return inFormat(format, NO_ROUTE, [], decisionId)
  }
  return inFormat(format, denial.status === 403 ? { ...denial, status: deniedStatus } : denial, headers, decisionId)
}

function inFormat(
  format: RefusalForm['format'] | 'grpc',
  denial: Denial,
  headers: readonly HeaderPair[],
  decisionId: string,
): ToldRefusal {
  const { status, name, title } = denial
  switch (format) {
    case 'problem-json':
      return { meaning: status, status, headers: [PROBLEM_JSON, ...headers], body: problemJson(denial, decisionId) }
    case 'text':
      return { meaning: status, status, headers: [TEXT, ...headers], body: `${name}: ${title} (${decisionId})\n` }
    case 'empty':
      return { meaning: status, status, headers, body: undefined }
    case 'grpc': {
      // Gateway API has another answer for calls than for requests (GRPCRouteRule.backendRefs): UNAVAILABLE.
      const meant = name === BACKEND_UNRESOLVED.name ? 503 : status
      const lines = grpcStatusLines(meant, `${name}: ${title} (${decisionId})`)
      return { meaning: status, status: 200, headers: [...lines, ...headers], body: undefined }
    }
  }
}
