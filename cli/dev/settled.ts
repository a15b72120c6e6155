import type { Resource } from '../../model/resource.ts'
import { KINDS } from '../../operator/resources/kinds.ts'
import type { StatusReport } from '../../operator/status/report.ts'
import { type Snapshot, snapshotOf } from '../../operator/store/snapshot.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { askAdmin } from './ask-admin.ts'
import type { Fleet } from './fleet.ts'
import type { OperatorPart } from './operator-part.ts'
import type { ProxyPart } from './proxy-part.ts'
import { type Resources, translated } from './resources.ts'

/** Milliseconds that the start waits for the keys of token issuers, some of which may be far away. */
const KEYS_MS = 10_000

const POLL_MS = 40

/**
 * Every sidecar and gateway knows the endpoints that there are now, and the operator has the keys of the token issuers
 * (or has had 10 s to get them).
 */
export async function whenSettled(
  {
    resources,
    fleet,
    operator,
  }: { readonly resources: Resources; readonly fleet: Fleet; readonly operator: OperatorPart },
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const deadline = clock.monotonic() + KEYS_MS
  while (clock.monotonic() < deadline && !(await hasKeys(operator))) await sleep(clock, POLL_MS, { signal })
  const proxies = [...fleet.sidecars, ...fleet.gateways]
  while (!(await knowEndpoints(proxies, resources.snapshot(), fleet.pods()))) await sleep(clock, POLL_MS, { signal })
}

async function hasKeys({ admin }: OperatorPart): Promise<boolean> {
  const answer = await askAdmin(admin, '/status').catch(() => undefined)
  if (answer === undefined) return false
  return (JSON.parse(answer) as StatusReport).issuers.every(({ keys }) => keys > 0)
}

/** Endpoints have a version, and translation says which it is to be. */
async function knowEndpoints(
  proxies: readonly ProxyPart[],
  snapshot: Snapshot,
  pods: readonly Resource[],
): Promise<boolean> {
  const { endpoints } = translated(snapshotOf([...resourcesOf(snapshot), ...pods]))
  const known = await Promise.all(
    proxies.map(async ({ plan, admin }) => {
      const answer = await askAdmin(admin, '/endpoints').catch(() => '')
      const wanted = endpoints.get(plan.id)
      return wanted === undefined || (answer !== '' && JSON.parse(answer).version === wanted.version)
    }),
  )
  return known.every((isKnown) => isKnown)
}

function resourcesOf(snapshot: Snapshot): readonly Resource[] {
  return KINDS.flatMap(({ kind }) => snapshot.ofKind(kind))
}
