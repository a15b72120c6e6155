import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { AdminRoute } from '../../runtime/admin-server.ts'
import type { Control } from '../control/control.ts'
import type { DecisionRing } from '../observe/decision-ring.ts'

/** What a sidecar tells whoever holds its admin token. */
export function adminRoutes(options: {
  readonly workload: string
  readonly control: Control
  readonly ring: DecisionRing
}): readonly AdminRoute[] {
  const { workload, control, ring } = options
  return [
    {
      method: 'GET',
      path: '/config',
      handle() {
        const pipeline = control.pipeline()
        if (pipeline === undefined) return { status: 404, body: JSON.stringify({ error: 'no configuration yet' }) }
        return { body: JSON.stringify(withoutKeys(pipeline.config)) }
      },
    },
    { method: 'GET', path: '/endpoints', handle: () => ({ body: JSON.stringify(control.endpoints()) }) },
    {
      method: 'GET',
      path: '/decision',
      handle({ query }) {
        const explained = ring.explain(query.get('id') ?? '')
        if (explained === undefined) {
          return { status: 404, body: JSON.stringify({ error: 'no such decision, or it is too long ago' }) }
        }
        return { body: JSON.stringify({ workload, ...explained }) }
      },
    },
  ]
}

/** A gateway's private keys are nobody's business (T31). */
function withoutKeys(config: WorkloadConfig): WorkloadConfig {
  return {
    ...config,
    listeners: config.listeners.map((listener) =>
      listener.kind === 'inbound'
        ? listener
        : {
            ...listener,
            certificates: listener.certificates.map((certificate) =>
              certificate.source === 'secret' ? { ...certificate, privateKey: '[redacted]' } : certificate,
            ),
          },
    ),
  }
}
