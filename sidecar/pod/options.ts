import { decode } from '../../contract/codec.ts'
import { MAX_POD_SIDECAR_BYTES, PATHS, POD_ENV, PORTS, PodSidecar } from '../../contract/pod.ts'
import { readIpAddress } from '../../model/match/ip-address.ts'
import { describeIssue } from '../../model/result.ts'
import { type SpiffeId, spiffeIdFor } from '../../model/spiffe-id.ts'

/** What the sidecar and the init container of a pod are told, and where they find the rest. */
export interface PodOptions {
  readonly told: PodSidecar
  /** `namespace/name`. */
  readonly pod: string
  /** Of the pod's service account. */
  readonly spiffeId: SpiffeId
  /** The primary address first; at most one of each family. */
  readonly podIps: readonly string[]
  readonly ports: { readonly [Name in keyof typeof PORTS]: number }
  readonly paths: Pick<
    { readonly [Name in keyof typeof PATHS]: string },
    'token' | 'trustAnchors' | 'state' | 'keystores'
  >
}

/** Reads the variables of the container. Throws an Error that names every mistake in them. */
export function readPodOptions(env: Readonly<Record<string, string | undefined>> = process.env): PodOptions {
  const text = wanted(env, POD_ENV.sidecar)
  if (text.length > MAX_POD_SIDECAR_BYTES) {
    throw new Error(`${POD_ENV.sidecar} has more than ${MAX_POD_SIDECAR_BYTES} bytes`)
  }
  const told = decode(PodSidecar, text)
  if (!told.ok) throw new Error(`${POD_ENV.sidecar}: ${told.issues.map(describeIssue).join('; ')}`)
  const namespace = wanted(env, POD_ENV.podNamespace)
  const name = wanted(env, POD_ENV.podName)
  const podIps = wanted(env, POD_ENV.podIps)
    .split(',')
    .map((ip) => ip.trim())
  const malformed = podIps.find((ip) => readIpAddress(ip) === undefined)
  if (malformed !== undefined) throw new Error(`${POD_ENV.podIps}: ${malformed} is not an IP address`)
  const spiffeId = spiffeIdFor(told.value.trustDomain, namespace, told.value.serviceAccount)
  if (!spiffeId.ok) throw new Error(`${POD_ENV.podNamespace}: ${spiffeId.issues.map(describeIssue).join('; ')}`)
  return { told: told.value, pod: `${namespace}/${name}`, spiffeId: spiffeId.value, podIps, ports: PORTS, paths: PATHS }
}

function wanted(env: Readonly<Record<string, string | undefined>>, name: string): string {
  const value = env[name]
  if (value === undefined || value === '') throw new Error(`the variable ${name} is not set`)
  return value
}
