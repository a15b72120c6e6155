import type { EndpointPool } from '../../upstream/pool.ts'
import type { Accepted } from '../accepted.ts'
import { NO_ENDPOINTS } from '../denials.ts'
import type { Engine } from '../engine.ts'
import type { Judged } from '../open-tunnels.ts'
import { type PortLabel, tellRefused } from '../port.ts'
import { joinWith } from '../tcp.ts'

/**
 * Joins a connection of opaque TCP from the workload with an upstream: one endpoint that is picked, or another where that
 * cannot be reached. `only`: with this one and no other.
 */
export function joinUpstream(
  engine: Engine,
  accepted: Accepted,
  label: PortLabel,
  upstream: string,
  judged: Judged,
  only?: EndpointPool,
): void {
  const { socket } = accepted
  const group = engine.upstreams.get(upstream)
  const nowMs = engine.clock.monotonic()
  const first = only ?? group?.pick(nowMs)
  if (first === undefined) {
    tellRefused(engine, label, socket, NO_ENDPOINTS.name)
    return void socket.destroy()
  }
  const second = only === undefined ? group?.pick(nowMs, first) : undefined
  const about = {
    decisionId: engine.newId(),
    ...label,
    spiffeId: undefined,
    clientIp: socket.remoteAddress ?? '',
    upstream,
    endpoint: first.label,
    refusal: undefined,
    rule: undefined,
    wouldDeny: undefined,
  }
  joinWith(engine, accepted, socket, second === undefined ? [first] : [first, second], about, judged)
}
