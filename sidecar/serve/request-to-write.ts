import type { RouteConfig } from '../../contract/workload-config.ts'
import type { Facts } from '../../model/request.ts'
import type { Client } from './client.ts'
import type { Provenance } from './forwarded.ts'
import type { RequestHead } from './http1/message.ts'
import type { RequestToWrite } from './http1/write-head.ts'
import { headersToSet, type RoutePlan, rewritePath, withoutIdentity } from './route-plan.ts'
import type { HttpSite } from './site.ts'

/** What the upstream is sent. Undefined: something in it is no field value. */
export function requestToWrite(
  head: RequestHead,
  route: RouteConfig,
  plan: RoutePlan,
  facts: Facts,
  provenance: Provenance,
  { client, site }: { readonly client: Client; readonly site: HttpSite },
): RequestToWrite | undefined {
  const lines = client.forwarded.for(provenance, site.direction !== 'outbound')
  if (lines === undefined) return undefined
  const path = rewritePath(head.path, route)
  const { action } = route
  const rewriteHost = action.kind === 'forward' ? action.rewriteHost : undefined
  const host = rewriteHost ?? head.authority
  return {
    method: head.method,
    target: head.query === '' ? path : `${path}?${head.query}`,
    host: host === '' ? 'localhost' : host,
    headers: head.headers,
    connectionNames: head.connectionNames,
    edits: {
      drop: plan.request.drop,
      set: headersToSet(head.headers, plan.request, withoutIdentity(facts.setRequestHeaders)),
      lines,
      requestId: provenance.requestId,
      ...(facts.removeRequestHeaders === undefined ? {} : { remove: facts.removeRequestHeaders }),
    },
    framing: head.framing,
    upgrade: head.upgrade,
  }
}
