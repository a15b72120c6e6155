import type { Denial } from '../../model/verdict.ts'
import type { Client } from './client.ts'
import type { RequestRecord } from './observation.ts'
import type { HttpSite } from './site.ts'

/** What is told of a message that nobody may read. What it says of itself is in no record. */
export function malformedRecord({
  denial,
  decisionId,
  nowMs,
  body,
  client,
  site,
}: {
  readonly denial: Denial
  readonly decisionId: string
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /** That the client is told it by. */
  readonly body: string
  readonly client: Client
  readonly site: HttpSite
}): RequestRecord {
  return {
    timeMs: nowMs,
    durationMs: 0,
    decisionId,
    requestId: decisionId,
    direction: site.direction,
    listener: site.listener(''),
    spiffeId: client.peer.spiffeId,
    clientIp: client.peer.ip,
    route: '',
    upstream: '',
    endpoint: undefined,
    method: '',
    host: '',
    path: '',
    status: denial.status,
    outcome: 'malformed',
    refusal: { denial: denial.name, filter: undefined, rule: undefined, origins: [], detail: undefined },
    rule: undefined,
    wouldDeny: undefined,
    issuer: undefined,
    subject: undefined,
    bytesIn: 0,
    bytesOut: Buffer.byteLength(body),
    retried: false,
  }
}
