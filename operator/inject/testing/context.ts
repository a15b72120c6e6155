import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../../model/spiffe-id.ts'
import type { MeshConfigSpec } from '../../resources/mesh-config.ts'
import type { InjectionContext, InjectorSettings } from '../context.ts'
import { optOutsOf } from '../opt-outs.ts'

const spiffeId = parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator') as { value: SpiffeId }
const trustDomain = parseTrustDomain('cluster.local') as { value: TrustDomain }

export const SETTINGS: InjectorSettings = {
  image: 'hauberk-sidecar:0.1.0',
  imagePullPolicy: 'IfNotPresent',
  trustDomain: trustDomain.value,
  operator: { host: 'hauberk-operator.hauberk-system.svc', port: 15_012, spiffeId: spiffeId.value },
  resources: { requests: { cpu: '20m', memory: '96Mi' }, limits: { memory: '256Mi' } },
  initResources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '128Mi' } },
  stateSizeLimit: '16Mi',
  preStopSeconds: 3,
  drainSeconds: 5,
  metrics: { allow: [], plaintext: false },
  decisionLog: 'denied',
  logLevel: 'info',
}

/** A key that can be told from another. */
export const PROBE_KEY = 'AAAAAAAAAAAAAAAAAAAAAA'

export interface WorldOfPod {
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly optOuts?: MeshConfigSpec['optOuts']
  readonly settings?: Partial<InjectorSettings>
}

export function contextOf({
  namespace = 'shop',
  labels = {},
  optOuts,
  settings = {},
}: WorldOfPod = {}): InjectionContext {
  return {
    settings: { ...SETTINGS, ...settings },
    namespace: { name: namespace, labels },
    optOuts: optOutsOf(
      optOuts && {
        apiVersion: 'hauberk.dev/v1alpha1',
        kind: 'MeshConfig',
        metadata: { name: 'default' },
        spec: { optOuts },
      },
    ),
    makeProbeKey: () => PROBE_KEY,
  }
}
