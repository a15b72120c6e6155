import type { AdminRoute } from '../../runtime/admin-server.ts'
import type { EdgesReport } from './mesh-edges.ts'

/** `GET /edges`: what goes between whom, as the sidecars that are connected here count it; `?namespace=` of one only. */
export function edgesRoute(look: (namespace: string | undefined) => Promise<EdgesReport | undefined>): AdminRoute {
  return {
    method: 'GET',
    path: '/edges',
    async handle({ query }) {
      const report = await look(query.get('namespace') ?? undefined)
      if (report === undefined) return { status: 429, body: JSON.stringify({ error: 'too many look at once' }) }
      return { body: JSON.stringify(report) }
    },
  }
}
