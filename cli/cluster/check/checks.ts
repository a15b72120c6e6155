import { CERTIFICATES } from './certificates.ts'
import type { CheckSection } from './check.ts'
import { CONTROL_PLANE } from './control-plane.ts'
import { GATEWAYS } from './gateways.ts'
import { KUBERNETES } from './kubernetes.ts'
import { PODS } from './pods.ts'
import { POLICIES } from './policies.ts'
import { SIDECARS } from './sidecars.ts'
import { WEBHOOKS } from './webhooks.ts'

/** Everything that `hauberk check` looks at on a cluster, from the ground up: each section rests on those before. */
export const SECTIONS: readonly CheckSection[] = [
  KUBERNETES,
  CONTROL_PLANE,
  WEBHOOKS,
  CERTIFICATES,
  PODS,
  SIDECARS,
  POLICIES,
  GATEWAYS,
]
