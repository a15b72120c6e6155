import type { RouteConfig } from '../../contract/workload-config.ts'
import { INTERNAL_TOKEN_HEADER } from '../../model/internal-tokens.ts'
import type { Facts } from '../../model/request.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import type { Client } from './client.ts'
import type { Provenance } from './forwarded.ts'
import type { RequestHead } from './http1/message.ts'
import type { RequestToWrite } from './http1/write-head.ts'
import { headersToSet, type RoutePlan, rewritePath, withoutIdentity } from './route-plan.ts'
import type { HttpSite } from './site.ts'
import type { Trace } from './trace.ts'

/** What the upstream is sent. Undefined: something in it is no field value. */
export function requestToWrite(
  head: RequestHead,
  route: RouteConfig,
  plan: RoutePlan,
  facts: Facts,
  provenance: Provenance,
  { client, site }: { readonly client: Client; readonly site: HttpSite },
  trace: Trace | undefined,
): RequestToWrite | undefined {
  const lines = client.forwarded.for(provenance, site.direction !== 'outbound')
  if (lines === undefined) return undefined
  const path = rewritePath(head.path, route)
  const { action } = route
  const rewriteHost = action.kind === 'forward' ? action.rewriteHost : undefined
  const host = rewriteHost ?? head.authority
  const isOutside = site.direction !== 'outbound' && client.peer.spiffeId === undefined
  // Nobody outside has an internal token: what looks like one is no policy's to allow.
  const forged = isOutside && head.headers.indexOf(INTERNAL_TOKEN_HEADER) !== -1 ? INTERNAL_TOKEN : undefined
  const remove = together(together(facts.removeRequestHeaders, trace?.remove), forged)
  const set = headersToSet(head.headers, plan.request, withoutIdentity(facts.setRequestHeaders), undefined, remove)
  return {
    method: head.method,
    target: head.query === '' ? path : `${path}?${head.query}`,
    host: host === '' ? 'localhost' : host,
    headers: head.headers,
    connectionNames: head.connectionNames,
    edits: {
      drop: plan.request.drop,
      set: trace === undefined ? set : withTrace(set, trace),
      lines,
      requestId: provenance.requestId,
      ...(remove === undefined ? {} : { remove }),
    },
    framing: head.framing,
    upgrade: head.upgrade,
  }
}

/** What the mesh says of the trace no route or policy changes. */
function withTrace(set: readonly HeaderPair[], trace: Trace): readonly HeaderPair[] {
  const byOthers = set.some(([name]) => TRACE_HEADERS.has(name))
    ? set.filter(([name]) => !TRACE_HEADERS.has(name))
    : set
  return trace.set === undefined ? byOthers : [...byOthers, ...trace.set]
}

function together<T>(some: readonly T[] | undefined, more: readonly T[] | undefined): readonly T[] | undefined {
  return some === undefined ? more : more === undefined ? some : [...some, ...more]
}

const INTERNAL_TOKEN: readonly string[] = Object.freeze([INTERNAL_TOKEN_HEADER])
const TRACE_HEADERS: ReadonlySet<string> = new Set(['traceparent', 'tracestate'])
