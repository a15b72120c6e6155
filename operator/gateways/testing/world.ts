import type { SpiffeId, TrustDomain } from '../../../model/spiffe-id.ts'
import { snapshotOf } from '../../store/snapshot.ts'
import { type GatewayFacts, gatewaysOf } from '../../translate/gateways.ts'
import { resourcesIn } from '../../translate/testing/world.ts'
import type { GatewaySettings } from '../objects.ts'

/** What an installation says of gateways, in tests. */
export const SETTINGS: GatewaySettings = {
  image: 'hauberk-sidecar:0.1.0',
  imagePullPolicy: 'IfNotPresent',
  trustDomain: 'cluster.local' as TrustDomain,
  operator: {
    host: 'hauberk-operator.hauberk-system.svc',
    port: 15_012,
    spiffeId: 'spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator' as SpiffeId,
  },
  resources: { requests: { cpu: '20m', memory: '96Mi' } },
  stateSizeLimit: '16Mi',
  drainSeconds: 5,
  metrics: { allow: [], plaintext: false },
  decisionLog: 'denied',
  logLevel: 'info',
}

const CLASS = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
`

/** The Gateway of a file that has one, of class `hauberk`. */
export function gatewayIn(yaml: string): GatewayFacts {
  const { gateways } = gatewaysOf(snapshotOf(resourcesIn(CLASS + yaml)))
  const [gateway] = gateways
  if (gateway === undefined) throw new Error('there is no Gateway')
  return gateway
}
