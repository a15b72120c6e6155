import { type SpiffeId, spiffeIdFor, type TrustDomain } from '../../model/spiffe-id.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import type { InjectorSettings } from './context.ts'

/** What holds for sidecars where nobody says otherwise. */
export function defaultSettings({
  image,
  trustDomain,
}: Pick<InjectorSettings, 'image' | 'trustDomain'>): InjectorSettings {
  return {
    image,
    imagePullPolicy: 'IfNotPresent',
    trustDomain,
    operator: {
      host: `${OPERATOR_SERVICE_ACCOUNT}.${SYSTEM_NAMESPACE}.svc`,
      port: 15_012,
      spiffeId: operatorIdOf(trustDomain),
    },
    resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '256Mi' } },
    initResources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '128Mi' } },
    stateSizeLimit: '16Mi',
    preStopSeconds: 3,
    drainSeconds: 5,
    metrics: { allow: [], plaintext: false },
    decisionLog: 'all',
    logLevel: 'info',
  }
}

/** Throws for a trust domain that makes no identity: one that was parsed makes one, but for its length. */
function operatorIdOf(trustDomain: TrustDomain): SpiffeId {
  const id = spiffeIdFor(trustDomain, SYSTEM_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
  if (!id.ok) throw new RangeError(`the trust domain ${trustDomain} makes no identity`)
  return id.value
}
