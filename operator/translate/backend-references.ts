import type { Upstream } from '../../contract/workload-config.ts'
import type { BackendReference, UpstreamReference } from '../../model/backend-calls.ts'
import { parseCidr } from '../../model/match/cidr.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'
import type { Origin } from '../../model/origin.ts'
import { resourceKey } from '../../model/resource.ts'
import { fail, issue, ok, type Result } from '../../model/result.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isGranted } from './grants.ts'
import { egressNames, type MeshSettings } from './mesh-settings.ts'
import type { NamespaceFacts } from './namespace.ts'
import { upstreamOf } from './outbound.ts'
import { upstreamName } from './services.ts'

/** What a policy's reference to a service leads to, and the upstream that the workload's config is to have for it. */
export interface FoundUpstream extends UpstreamReference {
  readonly config: Upstream
}

export interface BackendPlaces {
  readonly snapshot: Snapshot
  readonly namespaces: ReadonlyMap<string, NamespaceFacts>
  readonly mesh: MeshSettings
}

const GROUP = 'hauberk.dev'

/** The upstream that the policy `by` names; otherwise what is wrong with the reference. */
export function findUpstream(
  { snapshot, namespaces, mesh }: BackendPlaces,
  reference: BackendReference,
  by: Origin,
): Result<FoundUpstream> {
  const refuse = (code: string, message: string, fix?: string) =>
    fail({ ...issue(code, '', message, fix), resource: resourceKey(by.kind, by.namespace, by.name) })
  if ('host' in reference) {
    const { host, port } = reference
    const authority = port === 443 ? host : `${host}:${port}`
    if (!isOnEgressList(mesh, host, port)) {
      const message = `names ${host}:${port}, which is not on the egress list of MeshConfig`
      return refuse(
        'backend-not-resolved',
        message,
        'add the host and its port to MeshConfig egress, or name a Service',
      )
    }
    const config: Upstream = { service: host, port, protocol: 'http', tls: 'https', host, spiffeIds: [] }
    return ok({ upstream: `https://${host}:${port}`, authority, speaksHttp2: false, config })
  }
  const { name, port, protocol = 'http' } = reference
  const namespace = reference.namespace ?? by.namespace
  if (namespace === undefined) {
    return refuse(
      'backend-not-resolved',
      `names Service ${name} without a namespace`,
      'a policy of the whole mesh is in none: say which',
    )
  }
  const from = by.namespace === undefined ? undefined : { group: GROUP, kind: by.kind, namespace: by.namespace }
  if (from !== undefined && !isGranted(snapshot, { from, to: { group: '', kind: 'Service', namespace, name } })) {
    const message = `names Service ${namespace}/${name}, and no ReferenceGrant of ${namespace} permits it`
    return refuse('backend-not-resolved', message, `grant it in ${namespace}`)
  }
  const service = namespaces.get(namespace)?.services.find((known) => known.name === name)
  const served = service?.ports.find((known) => known.port === port)
  if (service === undefined)
    return refuse('backend-not-resolved', `there is no Service ${namespace}/${name} with a selector`)
  if (served === undefined)
    return refuse('backend-not-resolved', `Service ${namespace}/${name} has no TCP port ${port}`)
  if (served.protocol !== protocol) {
    const message = `port ${port} of Service ${namespace}/${name} is ${protocol === 'http' ? 'not' : 'read as'} HTTP`
    const fix = protocol === 'http' ? 'http, or kubernetes.io/h2c for gRPC' : 'kubernetes.io/tcp'
    return refuse('backend-not-resolved', message, `give it appProtocol ${fix}`)
  }
  const host = `${name}.${namespace}.svc`
  return ok({
    upstream: upstreamName(namespace, name, port),
    authority: port === 80 ? host : `${host}:${port}`,
    speaksHttp2: served.appProtocol === 'http2',
    config: upstreamOf(service, served, mesh),
  })
}

/** Who is called by address is on the list by address. */
function isOnEgressList(mesh: MeshSettings, host: string, port: number): boolean {
  const address = readIpAddress(host)
  if (address === undefined) return egressNames(mesh, host, port)
  return mesh.egress.some(({ cidr, ports }) => {
    const block = cidr === undefined || !ports.includes(port) ? undefined : parseCidr(cidr)
    return block?.ok === true && block.value.contains(address)
  })
}
