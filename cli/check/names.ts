import { parseLabelSelector } from '../../model/match/labels.ts'
import type { Resource } from '../../model/resource.ts'
import { type SpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'
import { readGRPCRoute } from '../../operator/resources/grpc-route.ts'
import { readHTTPRoute } from '../../operator/resources/http-route.ts'
import { readService } from '../../operator/resources/service.ts'
import { readTCPRoute } from '../../operator/resources/tcp-route.ts'
import { readTLSRoute } from '../../operator/resources/tls-route.ts'
import { suggestion } from '../../operator/schema/validator.ts'
import { keyOf } from '../../operator/sources/resource-file.ts'
import type { Snapshot } from '../../operator/store/snapshot.ts'
import { ROUTE_KINDS, STREAM_KINDS } from '../../operator/translate/listeners.ts'
import { isServiceParent } from '../../operator/translate/service-parents.ts'
import type { Translation } from '../../operator/translate/translate.ts'
import type { From } from '../../policies/authorization/config.ts'
import type { AuthorizationSpec } from '../../policies/authorization/section.ts'
import type { Finding } from './finding.ts'

type Found = Omit<Finding, 'id'>

/** Names that lead nowhere: typing mistakes, most of the time, that no schema can see. */
export function danglingNames(snapshot: Snapshot, translation: Translation): readonly Found[] {
  const known = knownCallers(snapshot, translation)
  return [
    ...[...snapshot.ofKind('SecurityPolicy'), ...snapshot.ofKind('MeshSecurityPolicy')].flatMap((policy) => [
      ...unknownCallers(policy, known),
      ...selectsNothing(policy, translation),
      ...notEnforced(policy),
    ]),
    ...snapshot.ofKind('Service').flatMap((service) => withoutWorkload(service, snapshot)),
    ...[...ROUTE_KINDS, ...STREAM_KINDS].flatMap((kind) =>
      snapshot.ofKind(kind).flatMap((route) => withoutParent(route, READERS[kind], snapshot)),
    ),
    ...snapshot.ofKind('TokenIssuer').flatMap((issuer) => unusedIssuer(issuer, translation)),
  ]
}

interface KnownCallers {
  readonly namespaces: ReadonlySet<string>
  /** `namespace/name`. */
  readonly serviceAccounts: ReadonlySet<string>
}

function knownCallers(snapshot: Snapshot, { configs }: Translation): KnownCallers {
  const serviceAccounts = new Set(
    snapshot.ofKind('ServiceAccount').map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
  )
  const namespaces = new Set(snapshot.namespaces())
  for (const { identity } of configs.values()) {
    const account = serviceAccountOf(identity.spiffeId as SpiffeId)
    if (account === undefined) continue
    namespaces.add(account.namespace)
    serviceAccounts.add(`${account.namespace}/${account.serviceAccount}`)
  }
  return { namespaces, serviceAccounts }
}

function unknownCallers(policy: Resource, { namespaces, serviceAccounts }: KnownCallers): readonly Found[] {
  const ofNamespace = (namespace: string) =>
    [...serviceAccounts].filter((account) => account.startsWith(`${namespace}/`))
  return fromsOf(policy).flatMap(({ from, path }) => {
    const accounts = (from.serviceAccounts ?? []).flatMap((written, i): Found[] => {
      const account = written.includes('/') ? written : `${policy.metadata.namespace}/${written}`
      const [namespace = ''] = account.split('/')
      // Of a namespace that is not in these files nobody here can say who is in it.
      if (serviceAccounts.has(account) || !namespaces.has(namespace)) return []
      return [
        warning(
          'unknown-service-account',
          policy,
          `${path}.serviceAccounts[${i}]`,
          `no workload and no ServiceAccount here is ${account}: it never calls`,
          suggestion(account, ofNamespace(namespace)),
        ),
      ]
    })
    const spaces = (from.namespaces ?? []).flatMap((namespace, i): Found[] =>
      namespaces.has(namespace)
        ? []
        : [
            warning(
              'unknown-namespace',
              policy,
              `${path}.namespaces[${i}]`,
              `nothing here is in namespace ${namespace}`,
              suggestion(namespace, [...namespaces]),
            ),
          ],
    )
    return [...accounts, ...spaces]
  })
}

/** Every `from` of a policy's rules, and where it stands. */
function fromsOf({ spec }: Resource): readonly { readonly from: From; readonly path: string }[] {
  const levels = [
    ['spec', spec],
    ['spec.floor', (spec as { readonly floor?: unknown } | undefined)?.floor],
    ['spec.defaults', (spec as { readonly defaults?: unknown } | undefined)?.defaults],
  ] as const
  return levels.flatMap(([prefix, part]) => {
    const { authorization } = (part ?? {}) as { readonly authorization?: AuthorizationSpec }
    const rules = (['deny', 'allow'] as const).flatMap((effect) =>
      (authorization?.[effect] ?? []).map(({ from }, i) => ({
        from,
        path: `${prefix}.authorization.${effect}[${i}].from`,
      })),
    )
    return [...rules, { from: authorization?.onlyFrom, path: `${prefix}.authorization.onlyFrom` }].flatMap(
      ({ from, path }) => (from === undefined ? [] : [{ from, path }]),
    )
  })
}

function selectsNothing(policy: Resource, { reports }: Translation): readonly Found[] {
  const report = reports.get(keyOf(policy))
  if (report === undefined || modeOf(policy) === 'Off') return []
  if (report.accepted?.status === 'False' || report.selected.length > 0) return []
  return [
    warning(
      'selects-nothing',
      policy,
      policy.kind === 'SecurityPolicy' ? 'spec.targetRefs' : 'spec.namespaceSelector',
      'selects no workload: nobody obeys it',
    ),
  ]
}

function notEnforced(policy: Resource): readonly Found[] {
  const mode = modeOf(policy)
  if (mode === 'Enforce') return []
  const message = mode === 'Off' ? 'is off: nobody obeys it' : 'is a dry run: what it would refuse is only counted'
  return [{ ...warning('not-enforced', policy, 'spec.mode', message), severity: 'info' }]
}

function modeOf({ spec }: Resource): string {
  return (spec as { readonly mode?: string } | undefined)?.mode ?? 'Enforce'
}

function withoutWorkload(resource: Resource, snapshot: Snapshot): readonly Found[] {
  const read = readService(resource)
  if (!read.ok) return []
  const { selector = {}, type } = read.value.spec
  if (type === 'ExternalName' || Object.keys(selector).length === 0) return []
  const selects = parseLabelSelector({ matchLabels: selector })
  const { namespace } = resource.metadata
  const labels = [
    ...snapshot.inNamespace('Pod', namespace).map(({ metadata }) => metadata.labels),
    ...snapshot.inNamespace('Deployment', namespace).map(templateLabels),
  ]
  if (!selects.ok || labels.some((each) => selects.value(each ?? {}))) return []
  return [
    warning(
      'no-workload',
      resource,
      'spec.selector',
      'selects no workload: calls to it are answered 503',
      'select the labels of a Deployment’s template',
    ),
  ]
}

function templateLabels({ spec }: Resource): Readonly<Record<string, string>> | undefined {
  return (spec as { readonly template?: { readonly metadata?: { readonly labels?: Record<string, string> } } })
    ?.template?.metadata?.labels
}

const READERS = {
  HTTPRoute: readHTTPRoute,
  GRPCRoute: readGRPCRoute,
  TLSRoute: readTLSRoute,
  TCPRoute: readTCPRoute,
} as const

/** A route whose Gateway is missing is nobody's, so translation says nothing of it. */
function withoutParent(
  resource: Resource,
  readRoute: (typeof READERS)[keyof typeof READERS],
  snapshot: Snapshot,
): readonly Found[] {
  const read = readRoute(resource)
  if (!read.ok) return []
  const namespace = resource.metadata.namespace
  return (read.value.spec.parentRefs ?? []).flatMap((parent, i) => {
    if (parent.kind === 'Service' && !isServiceParent(parent)) {
      const message = `is no Service: ${parent.group ?? 'without group it is of gateway.networking.k8s.io'}`
      return [warning('route-not-attached', resource, `spec.parentRefs[${i}].group`, message, "write group: ''")]
    }
    if ((parent.kind ?? 'Gateway') !== 'Gateway') return []
    if (snapshot.get('Gateway', parent.namespace ?? namespace, parent.name) !== undefined) return []
    const gateways = snapshot.inNamespace('Gateway', parent.namespace ?? namespace).map(({ metadata }) => metadata.name)
    return [
      warning(
        'no-such-gateway',
        resource,
        `spec.parentRefs[${i}].name`,
        `there is no Gateway ${parent.namespace ?? namespace}/${parent.name}: nobody serves this route`,
        suggestion(parent.name, gateways),
      ),
    ]
  })
}

function unusedIssuer(resource: Resource, { reports }: Translation): readonly Found[] {
  if ((reports.get(keyOf(resource))?.selected.length ?? 0) > 0) return []
  return [
    { ...warning('unused-issuer', resource, 'metadata.name', 'is named by no policy in force'), severity: 'info' },
  ]
}

function warning(code: string, resource: Resource, path: string, message: string, fix?: string): Found {
  return { code, severity: 'warning', resource: keyOf(resource), path, message, ...(fix !== undefined && { fix }) }
}
