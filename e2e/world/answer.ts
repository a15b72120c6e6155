/** What came back for a request. */
export interface Answer {
  readonly status: number
  /** Names in lower case; several lines of one name are joined as Node joins them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: string
}

/** The document of a refusal (RFC 9457), as sidecars and gateway write it. */
export interface Problem {
  readonly denial: string
  readonly decisionId: string
}

/** One header as text; undefined when it was not sent. */
export function headerOf({ headers }: Answer, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.join(', ')
}

/** The body as JSON; undefined when it is none. */
export function jsonOf(answer: Answer): unknown {
  try {
    return JSON.parse(answer.body)
  } catch {
    return undefined
  }
}

/** Undefined for an answer that is no refusal of the mesh. */
export function problemOf(answer: Answer): Problem | undefined {
  const { denial, decisionId } = (jsonOf(answer) ?? {}) as Partial<Problem>
  return typeof denial === 'string' && typeof decisionId === 'string' ? { denial, decisionId } : undefined
}
