import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { read } from '../../contract/codec.ts'
import { TRUST_ANCHORS_CONFIG_MAP } from '../../contract/pod.ts'
import { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Resource } from '../../model/resource.ts'
import { parseCertificates } from '../../model/x509/certificate.ts'
import { WEBHOOK_CONFIGURATIONS } from '../../operator/admission/ca-bundle.ts'
import type { ClusterReport } from '../../operator/cluster/cluster-report.ts'
import { GATEWAY_API_CRDS } from '../../operator/gateways/class-status.ts'
import { INJECT_LABEL } from '../../operator/inject/annotations.ts'
import { resourcePath } from '../../operator/kubernetes/path.ts'
import { KINDS } from '../../operator/resources/kinds.ts'
import { MESH_CONFIG_NAME } from '../../operator/resources/mesh-config.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { type NamedSecret, secretRefs } from '../../operator/translate/secret-refs.ts'
import { judgeCertificates } from '../certs/certificate-row.ts'
import { release } from '../release.ts'
import { askOperator, askSidecar, parseAsked } from './ask.ts'
import type { Cluster } from './cluster.ts'
import { type ClusterFacts, RESOURCE_KINDS, type SecretAccess, type SidecarFacts } from './facts.ts'
import { concerns, type MeshedPod, meshedPodOf } from './meshed-pod.ts'
import type {
  Conditioned,
  ConfigMap,
  Definition,
  Deployment,
  Lease,
  MeshConfig,
  Named,
  Pod,
  WebhookConfiguration,
} from './objects.ts'
import { operatorPodsOf } from './operator-pods.ts'
import { type Look, type Place, readAll, readOne, seen, seenOr } from './read.ts'
import { tryInjection, tryReview } from './trial.ts'

/** CustomResourceDefinitions of ours. */
export const OUR_DEFINITIONS: readonly string[] = KINDS.filter(({ specSchema }) => specSchema !== undefined).map(
  ({ plural }) => `${plural}.hauberk.dev`,
)

/**
 * Looks at everything that `hauberk check` judges. Nothing is changed: what is tried is tried by a dry run. Never rejects
 * for what the cluster answers, only for a kubeconfig that cannot be used.
 */
export async function collectFacts(cluster: Cluster, scope: string | undefined, nowMs: number): Promise<ClusterFacts> {
  const { client } = cluster
  const version = await readVersion(cluster)
  // Without an API server nothing else can be asked, and each attempt would wait for its own timeout.
  const isAway = version.kind === 'failed' && !version.isForbidden
  const one = <T>(place: Place) => (isAway ? Promise.resolve(version) : readOne<T>(client, place))
  const all = <T>(place: Parameters<typeof readAll>[1]) =>
    isAway ? Promise.resolve(version) : readAll<T>(client, place)
  const system = { namespace: SYSTEM_NAMESPACE, name: OPERATOR_SERVICE_ACCOUNT }
  const namespaced = scope === undefined ? {} : { namespace: scope }

  const [definitions, webhooks, resources, parts] = await Promise.all([
    byName([...OUR_DEFINITIONS, ...GATEWAY_API_CRDS], (name) =>
      one<Definition>({ apiVersion: 'apiextensions.k8s.io/v1', plural: 'customresourcedefinitions', name }),
    ),
    byName(
      WEBHOOK_CONFIGURATIONS.map(({ name }) => name),
      (name) => {
        const { plural = '' } = WEBHOOK_CONFIGURATIONS.find((each) => each.name === name) ?? {}
        return one<WebhookConfiguration>({ apiVersion: 'admissionregistration.k8s.io/v1', plural, name })
      },
    ),
    byName([...RESOURCE_KINDS, 'ReferenceGrant'], (kind) => {
      const { plural = '', apiVersions = [], namespaced: isNamespaced } = KINDS.find((each) => each.kind === kind) ?? {}
      return all<Conditioned>({ kind, plural, apiVersion: apiVersions[0] ?? '', ...(isNamespaced && namespaced) })
    }),
    Promise.all([
      one<Deployment>({ apiVersion: 'apps/v1', plural: 'deployments', ...system }),
      one<Named>({ apiVersion: 'policy/v1', plural: 'poddisruptionbudgets', ...system }),
      one<Lease>({ apiVersion: 'coordination.k8s.io/v1', plural: 'leases', ...system }),
      one<MeshConfig>({ apiVersion: 'hauberk.dev/v1alpha1', plural: 'meshconfigs', name: MESH_CONFIG_NAME }),
      readNamespaces(one, all, scope),
      readPods(all, scope),
      all<ConfigMap>({
        apiVersion: 'v1',
        plural: 'configmaps',
        kind: 'ConfigMap',
        fieldSelector: `metadata.name=${TRUST_ANCHORS_CONFIG_MAP}`,
        ...namespaced,
      }),
    ]),
  ])
  const [deployment, disruptionBudget, lease, meshConfig, namespaces, pods, trustAnchors] = parts
  const optedIn = seenOr(namespaces, []).find(
    ({ metadata: { name, labels } }) =>
      labels?.[INJECT_LABEL] === 'enabled' && (scope === undefined || name === scope) && name !== SYSTEM_NAMESPACE,
  )
  const operatorPods = operatorPodsOf(seenOr(pods, []))
  const meshed = seenOr(pods, []).flatMap((pod) => meshedPodOf(pod) ?? [])
  const [injection, review, operators, status, sidecars, secrets] = await Promise.all([
    isAway ? NOT_TRIED : tryInjection(client, optedIn?.metadata.name),
    isAway ? NOT_TRIED : tryReview(client, scope ?? 'default'),
    Promise.all(
      operatorPods.map(async ({ metadata: { name } }) => ({
        pod: name,
        readiness: await askOperator(cluster, name, '/readyz'),
      })),
    ),
    askStatus(cluster, seen(lease), operatorPods),
    askSidecars(
      cluster,
      meshed.filter((pod) => concerns(pod, scope)),
      nowMs,
    ),
    isAway ? [] : readSecretAccess(cluster, resources),
  ])
  return {
    ...{ nowMs, release: release(), context: cluster.context, server: cluster.server, scope, version },
    ...{ definitions, webhooks, injection, review, deployment, disruptionBudget, lease, meshConfig },
    ...{ namespaces, pods, trustAnchors, resources, operators, status, sidecars, secrets },
  }
}

const NOT_TRIED = { kind: 'not-tried', why: 'the API server does not answer' } as const

/** Milliseconds for the first question: nobody waits for half a minute to hear that there is nobody. */
const VERSION_MS = 10_000

async function readVersion({ client }: Cluster): Promise<Look<string>> {
  try {
    const { gitVersion } = await client.request<{ readonly gitVersion?: string }>({
      path: '/version',
      timeoutMs: VERSION_MS,
    })
    return { kind: 'seen', value: gitVersion ?? 'v0.0' }
  } catch (error) {
    const { status, message } = error as { readonly status?: number; readonly message: string }
    return { kind: 'failed', why: message, isForbidden: status === 403 || status === 401 }
  }
}

async function byName<T>(names: readonly string[], readIt: (name: string) => Promise<T>): Promise<Map<string, T>> {
  return new Map(await Promise.all(names.map(async (name) => [name, await readIt(name)] as const)))
}

/** The one that is looked at, which whoever lives in it may see, or all. */
async function readNamespaces(
  one: <T>(place: Place) => Promise<Look<T>>,
  all: <T>(place: Parameters<typeof readAll>[1]) => Promise<Look<readonly T[]>>,
  scope: string | undefined,
): Promise<Look<readonly Named[]>> {
  const place = { apiVersion: 'v1', plural: 'namespaces' }
  if (scope === undefined) return all<Named>({ ...place, kind: 'Namespace' })
  const found = await one<Named>({ ...place, name: scope })
  return found.kind === 'seen' ? { kind: 'seen', value: [found.value] } : found
}

/** Those of one namespace and of our own, for whoever may not see the others. */
async function readPods(
  all: <T>(place: Parameters<typeof readAll>[1]) => Promise<Look<readonly T[]>>,
  scope: string | undefined,
): Promise<Look<readonly Pod[]>> {
  const place = { apiVersion: 'v1', plural: 'pods', kind: 'Pod' }
  if (scope === undefined || scope === SYSTEM_NAMESPACE) {
    return all<Pod>({ ...place, ...(scope !== undefined && { namespace: scope }) })
  }
  const [own, system] = await Promise.all([
    all<Pod>({ ...place, namespace: scope }),
    all<Pod>({ ...place, namespace: SYSTEM_NAMESPACE }),
  ])
  return own.kind === 'seen' ? { kind: 'seen', value: [...own.value, ...seenOr(system, [])] } : own
}

/** The leader knows of the sidecars of every operator; where nobody leads, any of them knows its own. */
export async function askStatus(
  cluster: Cluster,
  lease: Lease | undefined,
  operatorPods: readonly Pod[],
): Promise<ClusterFacts['status']> {
  const holder = lease?.spec?.holderIdentity ?? ''
  const leader = operatorPods.find(({ metadata: { name } }) => holder === name || holder.startsWith(`${name}_`))
  const asked = leader ?? operatorPods[0]
  if (asked === undefined) return { silent: 'no operator runs' }
  const answer = parseAsked<ClusterReport>(await askOperator(cluster, asked.metadata.name, '/status'))
  return answer.ok ? answer.value : { silent: answer.why }
}

async function askSidecars(
  cluster: Cluster,
  pods: readonly MeshedPod[],
  nowMs: number,
): Promise<readonly SidecarFacts[]> {
  const chosen = new Set<string>()
  return Promise.all(
    pods.map(async (pod): Promise<SidecarFacts> => {
      if (!pod.isRunning) return { pod, certificates: [], issuers: [], roots: [], silent: 'its container does not run' }
      const isFirst = pod.workload !== undefined && !chosen.has(pod.workload)
      if (isFirst) chosen.add(pod.workload)
      const identity = await askIdentity(cluster, pod, nowMs)
      // One after the other: each is a process that counts against the memory of the sidecar's container.
      const config = isFirst ? await askConfig(cluster, pod) : undefined
      return { pod, ...identity, ...(config && { config }) }
    }),
  )
}

/** What a sidecar's `/identity` tells: certificates, and never a key. The program that says it may be a tenant's own. */
const WireIdentity = v.object({
  chain: v.optional(v.string(), ''),
  trustBundle: v.optional(v.array(v.string()), []),
  serving: v.optional(v.array(v.object({ hostname: v.string(), chain: v.string() })), []),
  limitStore: v.optional(v.picklist(['answers', 'silent'])),
})

/** Asks one sidecar or gateway for its certificates, and judges them. */
export async function askIdentity(
  cluster: Cluster,
  pod: MeshedPod,
  nowMs: number,
): Promise<Omit<SidecarFacts, 'pod' | 'config'>> {
  const silent = (why: string) => ({ certificates: [], issuers: [], roots: [], silent: why })
  const answer = parseAsked<unknown>(await askSidecar(cluster, pod, '/identity'))
  if (!answer.ok) return silent(answer.why)
  const identity = read(WireIdentity, answer.value)
  if (!identity.ok) return silent('what it says is no identity')
  const { chain, trustBundle, serving, limitStore } = identity.value
  const of = `${pod.namespace}/${pod.name}`
  const judged = [
    judgeCertificates(of, chain, { roots: trustBundle, nowMs }),
    ...serving.map((each) => judgeCertificates(of, each.chain, { roots: trustBundle, kind: 'serving', nowMs })),
  ]
  const broken = judged.find((each) => !each.ok)
  const [, ...above] = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
  return {
    certificates: judged.flatMap((each) => (each.ok ? [each.row] : [])),
    issuers: above.flatMap((pem) => {
      const issuer = judgeCertificates(of, pem, { roots: trustBundle, nowMs })
      return issuer.ok ? [issuer.row] : []
    }),
    roots: trustBundle.flatMap(fingerprintsOf),
    ...(limitStore !== undefined && { limitStore }),
    ...(broken && { silent: `its certificate ${broken.problem}` }),
  }
}

/** SHA-256 of each certificate of a PEM text, in lower-case hex; none for what is no PEM. */
export function fingerprintsOf(pem: string): readonly string[] {
  const parsed = parseCertificates(pem)
  return parsed.ok ? parsed.value.map(({ der }) => createHash('sha256').update(der).digest('hex')) : []
}

/** What a sidecar obeys; undefined where it cannot be asked, or speaks of words that this program does not know. */
export async function askConfig(cluster: Cluster, pod: MeshedPod): Promise<WorkloadConfig | undefined> {
  const answer = parseAsked<unknown>(await askSidecar(cluster, pod, '/config'))
  const config = answer.ok ? read(WorkloadConfig, answer.value) : undefined
  return config?.ok ? config.value : undefined
}

/** Asks the API server whether the operator may read the Secrets that resources name. */
async function readSecretAccess(
  cluster: Cluster,
  resources: ReadonlyMap<string, Look<readonly Conditioned[]>>,
): Promise<readonly (NamedSecret & { readonly access: SecretAccess })[]> {
  const objects = [...resources.values()].flatMap((each) => seenOr(each, []))
  const refs = secretRefs(snapshotOf(objects as unknown as readonly Resource[]))
  return Promise.all(
    refs.map(async (ref) => {
      const [get, watch] = await Promise.all([mayRead(cluster, ref, 'get'), mayRead(cluster, ref, 'watch')])
      return { ...ref, access: get === undefined || watch === undefined ? undefined : get && watch }
    }),
  )
}

async function mayRead({ client }: Cluster, { namespace, name }: NamedSecret, verb: string): Promise<SecretAccess> {
  try {
    const review = await client.request<{ readonly status?: { readonly allowed?: boolean } }>({
      method: 'POST',
      path: resourcePath({ apiVersion: 'authorization.k8s.io/v1', plural: 'subjectaccessreviews' }),
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: `system:serviceaccount:${SYSTEM_NAMESPACE}:${OPERATOR_SERVICE_ACCOUNT}`,
          groups: ['system:serviceaccounts', `system:serviceaccounts:${SYSTEM_NAMESPACE}`, 'system:authenticated'],
          resourceAttributes: { namespace, name, verb, group: '', version: 'v1', resource: 'secrets' },
        },
      },
    })
    return review.status?.allowed === true
  } catch {
    // Whoever runs the command may not ask that: the statuses of the resources tell it as well.
    return undefined
  }
}
