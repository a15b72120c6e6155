import type { FilterCounter } from '../../model/filter.ts'
import { type SpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'
import type { CounterHandle, HistogramHandle, Metrics } from '../../runtime/metrics.ts'
import type { ConnectionRecord, Refusal, RequestRecord } from '../serve/observation.ts'
import {
  handshakeFailureOf,
  isBadCertificate,
  offenceOf,
  THREATS,
  type Threat,
  threatOfDenial,
  threatOfOffence,
} from './offence.ts'

/** The sidecar's metrics. Names and labels are interface: docs/metrics.md lists them. */
export interface SidecarMetrics {
  request(record: RequestRecord): void
  connection(record: ConnectionRecord): void
  count(name: FilterCounter, issuer?: string): void
}

/** Gauges are read when scraped. */
export interface SidecarGauges {
  readonly certificateReceivedMs: () => number | undefined
  readonly certificateNotAfterMs: () => number | undefined
  readonly configVersion: () => string | undefined
  /** Milliseconds since the epoch. */
  readonly configTakenAtMs: () => number | undefined
  readonly operatorConnected: () => boolean
  readonly connections: () => number
  readonly inFlight: () => number
  readonly upstreamConnections: () => number
  readonly logLinesDropped: () => number
}

/** Methods that are counted by name; any other is `other`, so that a client cannot make series. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT'])

/** Combinations remembered in front of the registry; it bounds them as well. */
const MAX_REMEMBERED = 2_000

/** Callers remembered for each of them. */
const MAX_CALLERS = 100

/** What requests that came out alike are counted by. */
interface RequestSeries extends Pick<RequestRecord, 'direction' | 'method' | 'status' | 'outcome'> {
  readonly requests: CounterHandle
  readonly durations: HistogramHandle
  /** By the caller's SPIFFE ID: as many as the mesh has. */
  readonly callers: Map<string | undefined, CounterHandle>
}

export function createSidecarMetrics(metrics: Metrics, gauges: SidecarGauges): SidecarMetrics {
  const requests = metrics.counter({
    name: 'hauberk_requests_total',
    help: 'Requests that were answered, by where they came from, the route they took and the status the client got.',
    labels: ['direction', 'route', 'method', 'status', 'outcome'],
  })
  const durations = metrics.histogram({
    name: 'hauberk_request_duration_seconds',
    help: 'Time from the first byte of a request to the last of its answer, in seconds.',
    labels: ['direction', 'route'],
    maxSeries: 200,
  })
  const denials = metrics.counter({
    name: 'hauberk_denials_total',
    help: 'Requests and connections that were refused, by the denial, the rule and the policy.',
    labels: ['direction', 'denial', 'rule', 'policy'],
  })
  const dryRunDenials = metrics.counter({
    name: 'hauberk_dry_run_denials_total',
    help: 'Requests and connections that a dry run would have refused.',
    labels: ['direction', 'denial', 'rule', 'policy'],
  })
  const connections = metrics.counter({
    name: 'hauberk_connections_total',
    help: 'Connections of opaque TCP, tunnels, and connections that were closed before they were used.',
    labels: ['direction', 'listener', 'outcome'],
  })
  const callers = metrics.counter({
    name: 'hauberk_caller_requests_total',
    help: 'Requests by the route they took and the service account that made them.',
    labels: ['direction', 'route', 'caller', 'outcome'],
  })
  const clients = metrics.counter({
    name: 'hauberk_client_requests_total',
    help: 'Requests of clients that are known by an API key.',
    labels: ['client', 'outcome'],
    maxSeries: 2_000,
  })
  const handshakeFailures = metrics.counter({
    name: 'hauberk_handshake_failures_total',
    help: 'TLS handshakes that came to nothing, by why.',
    labels: ['direction', 'reason'],
  })
  const threats = metrics.counter({
    name: 'hauberk_threats_total',
    help: 'Refusals that an attack would make, by what kind of attack.',
    labels: ['threat'],
  })
  const threatened = Object.fromEntries(THREATS.map((threat) => [threat, threats.handle({ threat })])) as Record<
    Threat,
    CounterHandle
  >
  const countThreat = (threat: Threat | undefined) => {
    if (threat !== undefined) threatened[threat].add()
  }
  const plaintext = metrics.counter({
    name: 'hauberk_plaintext_connections_total',
    help: 'Connections without TLS that a Permissive or Disabled port took.',
    labels: ['listener'],
  })
  const tokens = {
    tokens_cached: 'Tokens that were found in the cache of verified ones.',
    tokens_verified: 'Tokens whose signature was verified.',
    tokens_rejected: 'Tokens that were refused.',
    requests_failed_open:
      'Requests that passed without the answer of a service that should have been asked, because a policy fails open.',
    rate_limit_keys_evicted: 'Clients forgotten by a rate limit that remembers as many as it may.',
  } satisfies Record<FilterCounter, string>
  const counters = Object.fromEntries(
    Object.entries(tokens).map(([name, help]) => [
      name,
      metrics.counter({ name: `hauberk_${name}_total`, help, labels: ['issuer'] }),
    ]),
  ) as Record<FilterCounter, ReturnType<typeof metrics.counter<'issuer'>>>

  const counted = Object.fromEntries(
    Object.keys(tokens).map((name) => [name, new Map<string, CounterHandle>()]),
  ) as Record<FilterCounter, Map<string, CounterHandle>>

  const gauge = (name: string, help: string, read: () => number | undefined) => {
    const handle = metrics.gauge({ name, help }).handle()
    metrics.beforeScrape(() => handle.set(read() ?? 0))
  }
  gauge('hauberk_certificate_received_seconds', 'When the certificate came, in seconds since the epoch.', () =>
    inSeconds(gauges.certificateReceivedMs()),
  )
  gauge('hauberk_certificate_not_after_seconds', 'End of the certificate, in seconds since the epoch.', () =>
    inSeconds(gauges.certificateNotAfterMs()),
  )
  gauge('hauberk_config_taken_seconds', 'When the configuration was taken, in seconds since the epoch.', () =>
    inSeconds(gauges.configTakenAtMs()),
  )
  gauge('hauberk_operator_connected', '1 while there is a session with the operator.', () =>
    gauges.operatorConnected() ? 1 : 0,
  )
  gauge('hauberk_open_connections', 'Client connections that are open.', gauges.connections)
  gauge('hauberk_requests_in_flight', 'Requests that are being answered.', gauges.inFlight)
  gauge('hauberk_upstream_connections', 'Connections to upstreams that are open.', gauges.upstreamConnections)
  gauge('hauberk_log_lines_dropped', 'Log lines lost since the start.', gauges.logLinesDropped)
  const configInfo = metrics.gauge({
    name: 'hauberk_config_info',
    help: 'The configuration in force, as a label.',
    labels: ['version'],
    maxSeries: 2,
  })
  let shownVersion: string | undefined
  metrics.beforeScrape(() => {
    const version = gauges.configVersion()
    if (version === shownVersion) return
    if (shownVersion !== undefined) configInfo.remove({ version: shownVersion })
    if (version !== undefined) configInfo.handle({ version }).set(1)
    shownVersion = version
  })

  const remembered = new Map<string, RequestSeries>()
  /** By route: how its last request came out, so that the next one like it is counted without a key being made. */
  const newest = new Map<string, RequestSeries>()
  const seriesOf = (record: RequestRecord): RequestSeries => {
    const { direction, route, method, status, outcome } = record
    const last = newest.get(route)
    const isLike =
      last !== undefined &&
      last.status === status &&
      last.method === method &&
      last.outcome === outcome &&
      last.direction === direction
    if (isLike) return last
    const counted = METHODS.has(method) ? method : 'other'
    const key = `${direction} ${route} ${counted} ${status} ${outcome}`
    let series = remembered.get(key)
    if (series === undefined) {
      series = {
        ...{ direction, method: counted, status, outcome },
        requests: requests.handle({ direction, route, method: counted, status: String(status), outcome }),
        durations: durations.handle({ direction, route }),
        callers: new Map(),
      }
      if (remembered.size < MAX_REMEMBERED) remembered.set(key, series)
    }
    if (newest.size < MAX_REMEMBERED || newest.has(route)) newest.set(route, series)
    return series
  }
  const callerOf = ({ direction, route, outcome, spiffeId }: RequestRecord): CounterHandle => {
    const account = spiffeId === undefined ? undefined : serviceAccountOf(spiffeId as SpiffeId)
    const caller = account === undefined ? '' : `${account.namespace}/${account.serviceAccount}`
    return callers.handle({ direction, route, caller, outcome })
  }
  const refuse = (family: typeof denials, direction: string, { denial, rule, origins }: Refusal) =>
    family.handle({ direction, denial, rule: rule ?? '', policy: origins.join(' ') }).add()

  return {
    request(record) {
      const series = seriesOf(record)
      series.requests.add()
      series.durations.observe(record.durationMs / 1_000)
      let caller = series.callers.get(record.spiffeId)
      if (caller === undefined) {
        caller = callerOf(record)
        if (series.callers.size < MAX_CALLERS) series.callers.set(record.spiffeId, caller)
      }
      caller.add()
      if (record.client !== undefined) clients.handle({ client: record.client, outcome: record.outcome }).add()
      if (record.refusal !== undefined) {
        refuse(denials, record.direction, record.refusal)
        countThreat(threatOfDenial(record.refusal.denial))
      }
      const offence = offenceOf(record)
      if (offence !== undefined) countThreat(threatOfOffence(offence))
      if (record.wouldDeny !== undefined) refuse(dryRunDenials, record.direction, record.wouldDeny)
    },
    connection({ direction, listener, outcome, refusal, wouldDeny, ...record }) {
      connections.handle({ direction, listener, outcome }).add()
      if (record.plaintext) plaintext.handle({ listener }).add()
      if (refusal !== undefined) {
        refuse(denials, direction, refusal)
        const reason = handshakeFailureOf({ refusal })
        if (reason !== undefined) handshakeFailures.handle({ direction, reason }).add()
        countThreat(
          reason !== undefined && isBadCertificate(reason) ? 'bad-certificate' : threatOfDenial(refusal.denial),
        )
      }
      if (wouldDeny !== undefined) refuse(dryRunDenials, direction, wouldDeny)
    },
    count(name, issuer = '') {
      const known = counted[name]
      let handle = known.get(issuer)
      if (handle === undefined) {
        handle = counters[name].handle({ issuer })
        if (known.size < MAX_REMEMBERED) known.set(issuer, handle)
      }
      handle.add()
    },
  }
}

function inSeconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1_000
}
