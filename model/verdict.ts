/** A refusal's stable name, with the HTTP status that tells of it. Each has a row in docs/denials.md. */
export interface Denial {
  /** Kebab-case, stable: metric label, log field, and what the client is told. */
  readonly name: string
  /** 400..599. */
  readonly status: number
  /** One sentence for the client. Says nothing of the policy. */
  readonly title: string
}

export type HeaderPair = readonly [name: string, value: string]

/** What a check says of a request. Handle with one exhaustive `switch`. */
export type Verdict = Continue | Deny | Answer

export interface Continue {
  readonly kind: 'continue'
}

export interface Deny {
  readonly kind: 'deny'
  readonly denial: Denial
  /** The rule that refused, as its author named it. */
  readonly rule?: string
  /** The policy that refused: `namespace/name@generation`. Absent: the slot's origins say it. */
  readonly origin?: string
  /** For the log and `explain` only; never sent to the client. Holds no token, key or cookie. */
  readonly detail?: string
  /** Response headers a standard asks for with this refusal (`WWW-Authenticate`, `Retry-After`). */
  readonly headers?: readonly HeaderPair[]
  /**
   * What the client is told in place of the denial in its form, where a policy leaves that to a service that it asks. A refusal
   * that is to be hidden is hidden all the same, and a call of gRPC is told in gRPC's form.
   */
  readonly told?: ToldInstead
}

export interface ToldInstead {
  /** 300..599. */
  readonly status: number
  readonly headers: readonly HeaderPair[]
  readonly body?: string
}

/** The request is answered here and goes no further, and that is no refusal (a CORS preflight). */
export interface Answer {
  readonly kind: 'answer'
  readonly status: number
  readonly headers: readonly HeaderPair[]
  readonly body?: string
}

/** The one `continue` there is: saying yes allocates nothing. */
export const CONTINUE: Continue = Object.freeze({ kind: 'continue' })
