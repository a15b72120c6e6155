import { withoutPrivateKeys } from '../../contract/without-keys.ts'
import type { AdminRoute } from '../../runtime/admin-server.ts'
import type { Control } from '../control/control.ts'
import type { Identity } from '../identity/identity.ts'
import type { ServingCertificate } from '../identity/serving-certificate.ts'
import type { ExplainedDecision } from '../observe/decision-ring.ts'
import { readTapFilter, type Taps } from '../observe/taps.ts'

/** What a sidecar tells whoever holds its admin token. */
export function adminRoutes(options: {
  readonly workload: string
  readonly control: Pick<Control, 'pipeline' | 'endpoints'>
  explain(decisionId: string): ExplainedDecision | undefined | Promise<ExplainedDecision | undefined>
  /** Undefined before the first certificate. */
  readonly identity: () => Identity | undefined
  /** What a gateway shows for its hostnames, where the mesh's own CA issued it. */
  readonly serving: () => readonly Pick<ServingCertificate, 'hostname' | 'chain'>[]
  /** Undefined: as many are open already. */
  readonly openTap: Taps['open']
  /** Whether the store of shared limits answers; undefined: there is none. */
  readonly limitStoreAnswers?: () => boolean | undefined
}): readonly AdminRoute[] {
  const { workload, control, identity, serving, limitStoreAnswers } = options
  return [
    {
      method: 'GET',
      path: '/config',
      handle() {
        const pipeline = control.pipeline()
        if (pipeline === undefined) return { status: 404, body: JSON.stringify({ error: 'no configuration yet' }) }
        return { body: JSON.stringify(withoutPrivateKeys(pipeline.config)) }
      },
    },
    { method: 'GET', path: '/endpoints', handle: () => ({ body: JSON.stringify(control.endpoints()) }) },
    {
      method: 'GET',
      path: '/decision',
      async handle({ query }) {
        const explained = await options.explain(query.get('id') ?? '')
        if (explained === undefined) {
          return { status: 404, body: JSON.stringify({ error: 'no such decision, or it is too long ago' }) }
        }
        return { body: JSON.stringify({ workload, ...explained }) }
      },
    },
    {
      method: 'GET',
      path: '/tap',
      handle({ query, signal }) {
        const filter = readTapFilter(query)
        if (filter === undefined) return { status: 400, body: JSON.stringify({ error: 'no filter that is known' }) }
        const lines = options.openTap(filter, signal)
        if (lines === undefined) return { status: 429, body: JSON.stringify({ error: 'too many taps are open' }) }
        return { contentType: 'application/x-ndjson', body: lines }
      },
    },
    {
      method: 'GET',
      path: '/identity',
      handle() {
        const current = identity()
        if (current === undefined) return { status: 404, body: JSON.stringify({ error: 'no certificate yet' }) }
        const answers = limitStoreAnswers?.()
        const store = answers === undefined ? {} : { limitStore: answers ? 'answers' : 'silent' }
        return { body: JSON.stringify({ ...publicParts(workload, current, serving()), ...store }) }
      },
    },
  ]
}

/** Certificates are public; the keys that they are for are nobody's business (T31). */
function publicParts(
  workload: string,
  { spiffeId, chain, trustBundle, receivedAtMs }: Identity,
  serving: readonly Pick<ServingCertificate, 'hostname' | 'chain'>[],
) {
  return {
    workload,
    spiffeId,
    chain,
    trustBundle,
    receivedAt: new Date(receivedAtMs).toISOString(),
    serving: serving.map(({ hostname, chain: shown }) => ({ hostname, chain: shown })),
  }
}
