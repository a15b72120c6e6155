import type { GatewayFacts } from '../translate/gateways.ts'

/** Field manager of what is applied for Gateways, and the value of the label by which it is known. */
export const FIELD_MANAGER = 'hauberk-gateways'

const NAMESPACE_LABEL = 'hauberk.dev/gateway-namespace'
const NAME_LABEL = 'hauberk.dev/gateway-name'
const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by'

/** Selects everything that is kept for any Gateway. */
export const MANAGED_SELECTOR = `${MANAGED_BY_LABEL}=${FIELD_MANAGER}`

export function gatewayLabels({
  namespace,
  name,
  className,
  serviceAccount,
}: Pick<GatewayFacts, 'namespace' | 'name' | 'serviceAccount'> & {
  readonly className: string | undefined
}): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'hauberk-gateway',
    'app.kubernetes.io/instance': serviceAccount,
    'app.kubernetes.io/part-of': 'hauberk',
    [MANAGED_BY_LABEL]: FIELD_MANAGER,
    // GEP-1762.
    'gateway.networking.k8s.io/gateway-name': name,
    // A label's value is shorter than the name of a class may be.
    ...(className !== undefined &&
      className.length <= 63 && { 'gateway.networking.k8s.io/gateway-class-name': className }),
    ...gatewaySelector({ namespace, name }),
  }
}

/** Without the class: a Gateway that changes between classes of ours keeps its pods. */
export function podLabels(gateway: Parameters<typeof gatewayLabels>[0]): Record<string, string> {
  return gatewayLabels({ ...gateway, className: undefined })
}

/** The labels by which a gateway's pods are known, for good: the selector of a Deployment cannot be changed. */
export function gatewaySelector({ namespace, name }: Pick<GatewayFacts, 'namespace' | 'name'>): Record<string, string> {
  return { [NAMESPACE_LABEL]: namespace, [NAME_LABEL]: name }
}

/** The Gateway that an object is kept for, as `namespace/name`; undefined for one that is nobody's. */
export function gatewayOf(labels: Readonly<Record<string, string>> | undefined): string | undefined {
  if (labels?.[MANAGED_BY_LABEL] !== FIELD_MANAGER) return undefined
  const [namespace, name] = [labels[NAMESPACE_LABEL], labels[NAME_LABEL]]
  return namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`
}
