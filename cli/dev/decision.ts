/** What a sidecar decided about one request or connection, read back from its log. */
export interface Decision {
  readonly kind: 'request' | 'connection'
  readonly id: string
  /** When it began. */
  readonly timeMs: number
  readonly durationMs: number
  /** `namespace/name` of the workload whose sidecar, or of the gateway which, decided. */
  readonly workload: string
  readonly direction: 'inbound' | 'gateway' | 'outbound'
  readonly listener: string
  /** `allowed`, `denied`, `answered`, `failed`, `malformed` or `aborted`. */
  readonly outcome: string
  readonly clientIp: string
  /** `namespace/name` of the caller's service account, proven by its certificate. */
  readonly caller?: string
  /** `sub` of the verified token. */
  readonly subject?: string
  readonly method?: string
  readonly host?: string
  readonly path?: string
  /** What the client was told; 0 when it was told nothing. */
  readonly status?: number
  readonly upstream: string
  /** The refusal's stable name. */
  readonly denial?: string
  /** The rule that refused or allowed. */
  readonly rule?: string
  /** `namespace/name@generation` of the policies that refused. */
  readonly policies: readonly string[]
  readonly reason?: string
  /** Bytes to and from the client. */
  readonly bytes: number
  /** What a dry run would have refused. */
  readonly wouldDeny?: { readonly denial: string; readonly rule?: string; readonly policies: readonly string[] }
  readonly plaintext: boolean
}

const MARK = '"event.dataset":"hauberk.decision"'

/** The decision that a line of a sidecar's output tells of; undefined for every other line. */
export function parseDecision(line: string): Decision | undefined {
  if (!line.includes(MARK)) return undefined
  let fields: Readonly<Record<string, unknown>>
  try {
    fields = JSON.parse(line) as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
  const text = (name: string) => (typeof fields[name] === 'string' ? fields[name] : undefined)
  const number = (name: string) => (typeof fields[name] === 'number' ? fields[name] : undefined)
  const kind = text('message')
  const direction = text('hauberk.direction')
  const workload = text('hauberk.workload')
  const id = text('event.id')
  if (kind !== 'request' && kind !== 'connection') return undefined
  if (direction !== 'inbound' && direction !== 'gateway' && direction !== 'outbound') return undefined
  if (workload === undefined || id === undefined) return undefined
  const isRequest = kind === 'request'
  const given = <K extends string, V>(key: K, value: V | undefined) =>
    (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V }
  const wouldDeny = fields['hauberk.dry_run'] as Decision['wouldDeny'] | undefined
  return {
    kind,
    id,
    timeMs: Date.parse(text('@timestamp') ?? ''),
    durationMs: (number('event.duration') ?? 0) / 1_000_000,
    workload,
    direction,
    listener: text('hauberk.listener') ?? '',
    outcome: text('hauberk.outcome') ?? '',
    clientIp: text('source.ip') ?? '',
    ...given('caller', text('service.origin.name')),
    ...given('subject', text('user.id')),
    ...given('method', text('http.request.method')),
    ...given('host', text('url.domain')),
    ...given('path', text('url.path')),
    ...given('status', number('http.response.status_code')),
    upstream: text('service.target.name') ?? '',
    ...given('denial', text('hauberk.denial')),
    ...given('rule', text('rule.name')),
    policies: (text('rule.ruleset') ?? '').split(' ').filter((policy) => policy !== ''),
    ...given('reason', text('event.reason')),
    bytes: isRequest
      ? (number('http.request.body.bytes') ?? 0) + (number('http.response.body.bytes') ?? 0)
      : (number('source.bytes') ?? 0) + (number('destination.bytes') ?? 0),
    ...given('wouldDeny', wouldDeny),
    plaintext: fields['hauberk.plaintext'] === true,
  }
}

/**
 * Whether a decision is the one to show for its request. A request that goes through is told of by every sidecar on its
 * way; the one in front of the service says most. Another one speaks up where it was the last.
 */
export function isTelling({ direction, outcome, kind, plaintext }: Decision): boolean {
  if (direction === 'inbound') return true
  if (direction === 'gateway') return outcome !== 'allowed' || plaintext
  return outcome !== 'allowed' && !(kind === 'request' && outcome === 'answered')
}
