import type { RefusalForm } from '../../model/request.ts'
import type { Denial, HeaderPair } from '../../model/verdict.ts'
import { NO_ROUTE } from './denials.ts'
import { PROBLEM_JSON, problemJson } from './local-response.ts'

/** A refusal as the client sees it. */
export interface ToldRefusal {
  readonly status: number
  readonly headers: readonly HeaderPair[]
  readonly body: string | undefined
}

const TEXT: HeaderPair = ['content-type', 'text/plain; charset=utf-8']

/**
 * Puts a refusal into the form that the `response` section asks for; problem+json with the denial's own status without
 * one. A refusal that is hidden has nothing of its own left: neither name nor headers differ from those of a 404.
 */
export function tellRefusal(
  denial: Denial,
  headers: readonly HeaderPair[],
  form: RefusalForm | undefined,
  decisionId: string,
): ToldRefusal {
  if (form === undefined) return inFormat('problem-json', denial, headers, decisionId)
  const { format, hidesExistence, deniedStatus } = form
  if (hidesExistence && (denial.status === 401 || denial.status === 403)) {
    return inFormat(format, NO_ROUTE, [], decisionId)
  }
  return inFormat(format, denial.status === 403 ? { ...denial, status: deniedStatus } : denial, headers, decisionId)
}

function inFormat(
  format: RefusalForm['format'],
  denial: Denial,
  headers: readonly HeaderPair[],
  decisionId: string,
): ToldRefusal {
  const { status, name, title } = denial
  switch (format) {
    case 'problem-json':
      return { status, headers: [PROBLEM_JSON, ...headers], body: problemJson(denial, decisionId) }
    case 'text':
      return { status, headers: [TEXT, ...headers], body: `${name}: ${title} (${decisionId})\n` }
    case 'empty':
      return { status, headers, body: undefined }
  }
}
