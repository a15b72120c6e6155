import ipaddr from 'ipaddr.js'
import { TOKEN_AUDIENCE } from '../../contract/pod.ts'
import type { Resource } from '../../model/resource.ts'
import { spiffeIdFor, type TrustDomain } from '../../model/spiffe-id.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isNotFound, KubernetesError } from '../kubernetes/errors.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { readPod } from '../resources/pod.ts'
import { type CallBudget, createCallBudget } from './call-budget.ts'
import type { CallerAuthenticator, CallerVerdict } from './caller.ts'
import { createRequestLimit, type RequestLimit } from './request-limit.ts'

export interface TokenReviewOptions {
  readonly client: Pick<KubernetesClient, 'request'>
  readonly trustDomain: TrustDomain
  /** The pod as the watch has it; undefined: it has not shown it, or not any more. */
  readonly pod: (namespace: string, name: string) => Resource | undefined
  /** Whose pod it is, if that is known. */
  readonly workloadOf?: (namespace: string, pod: string) => WorkloadId | undefined
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Of calls to the API server. Default: 25 a second. */
  readonly budget?: CallBudget
  /** Of requests from one address, before anything is asked about them. Default: 20 at once, then one a second. */
  readonly addressLimit?: RequestLimit
}

/** Bytes of a token at most. Projected ones have 1,200. */
const MAX_TOKEN_BYTES = 16_384

/** Three parts in base64url, as every service-account token has them. */
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/**
 * What the API server says of a token that it has made, and whose pod or service account is gone (T02). It is refused like
 * any other; this only tells the caller that another token would be, too.
 */
const INVALIDATED = /service account token has been invalidated|does not match service account pod ref claim/

const USERNAME = /^system:serviceaccount:([^:]+):([^:]+)$/
const POD_NAME = 'authentication.kubernetes.io/pod-name'
const POD_UID = 'authentication.kubernetes.io/pod-uid'

const TIMEOUT_MS = 5_000

/** Seconds after which the API server may be there again, or have heard of the pod's address. */
const UNAVAILABLE_SECONDS = 2
const UNKNOWN_ADDRESS_SECONDS = 1

/**
 * On a cluster: a caller is who its projected service-account token says, as the API server reviews it.
 *
 * The token must have been made for our audience (T01); there is no second try with another. It must be bound to a pod that
 * is alive, has the same uid and service account, and has the address that the connection comes from (T02). A pod that
 * the watch does not show so is asked for once more. The API server knows a token for 10 s after it has last looked at
 * it, its pod may be gone by then: so nothing is remembered here, and the pod is looked at each time.
 *
 * A certificate proves nothing here, not even the caller's own: with one alone, the key of a pod that is gone would be
 * renewed for ever. A request without a token is refused.
 */
export function createTokenReviewAuthenticator(options: TokenReviewOptions): CallerAuthenticator {
  const { client, trustDomain, workloadOf, clock, random, log } = options
  const budget = options.budget ?? createCallBudget({ clock, random })
  const addressLimit = options.addressLimit ?? createRequestLimit({ clock })

  /** Asks the API server, in turn; a verdict when that cannot be. */
  const call = async <T>(request: Parameters<KubernetesClient['request']>[0]): Promise<Called<T>> => {
    const awayMs = await budget.take()
    if (awayMs !== undefined) return { refused: busy(awayMs) }
    try {
      return { answer: await client.request<T>({ ...request, timeoutMs: TIMEOUT_MS }) }
    } catch (err) {
      if (isNotFound(err)) return { answer: undefined }
      if (!(err instanceof KubernetesError)) throw err
      log.warn('the API server was not asked', { err })
      const retryAfterSeconds = Math.max(UNAVAILABLE_SECONDS, Math.ceil((err.retryAfterMs ?? 0) / 1_000))
      return { refused: { ok: false, status: 503, reason: 'api-server-unavailable', retryAfterSeconds } }
    }
  }

  const judgePod = async (bound: BoundPod): Promise<CallerVerdict | undefined> => {
    const { namespace, name } = bound
    const known = options.pod(namespace, name)
    if (known !== undefined && faultOf(known, bound) === undefined) return undefined
    const path = resourcePath({ apiVersion: 'v1', plural: 'pods', namespace, name })
    const { refused, answer } = await call<Resource>({ path })
    if (refused !== undefined) return refused
    if (answer === undefined) return refuse(403, 'no-such-pod')
    const fault = faultOf(answer, bound)
    if (fault === undefined) return undefined
    if (fault !== 'unknown-pod-address') return refuse(403, fault)
    return { ok: false, status: 503, reason: fault, retryAfterSeconds: UNKNOWN_ADDRESS_SECONDS }
  }

  return {
    async authenticate({ bearer, remoteAddress }) {
      if (bearer === undefined) return refuse(401, 'no-token')
      if (bearer.length > MAX_TOKEN_BYTES || !JWT.test(bearer)) return refuse(401, 'bad-token')
      const address = addressOf(remoteAddress)
      if (address === undefined) return refuse(403, 'unknown-source-address')
      const waitMs = addressLimit.admit(address)
      if (waitMs > 0) return busy(waitMs)

      const { refused, answer } = await call<TokenReview>({
        method: 'POST',
        path: resourcePath({ apiVersion: 'authentication.k8s.io/v1', plural: 'tokenreviews' }),
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token: bearer, audiences: [TOKEN_AUDIENCE] },
        },
      })
      if (refused !== undefined) return refused
      const reviewed = readReview(answer)
      if (!reviewed.ok) return refuse(reviewed.status, reviewed.reason)
      const { namespace, serviceAccount, pod } = reviewed
      const fault = await judgePod({ ...pod, namespace, serviceAccount, address })
      if (fault !== undefined) return fault
      const spiffeId = spiffeIdFor(trustDomain, namespace, serviceAccount)
      if (!spiffeId.ok) return refuse(403, 'no-spiffe-id')
      const workload = workloadOf?.(namespace, pod.name)
      return {
        ok: true,
        caller: {
          spiffeId: spiffeId.value,
          provenBy: 'service-account-token',
          ...(workload !== undefined && { workload }),
          pod: { namespace, ...pod },
        },
      }
    },
  }
}

type Refusal = Extract<CallerVerdict, { readonly ok: false }>

interface Called<T> {
  readonly refused?: Refusal
  /** Undefined: there is no such thing. */
  readonly answer?: T | undefined
}

/** `status` of an authentication.k8s.io/v1 TokenReview. Nothing of it is believed before it was looked at. */
interface TokenReview {
  readonly status?: {
    readonly authenticated?: unknown
    readonly error?: unknown
    readonly audiences?: unknown
    readonly user?: { readonly username?: unknown; readonly extra?: Readonly<Record<string, unknown>> }
  }
}

type Reviewed =
  | {
      readonly ok: true
      readonly namespace: string
      readonly serviceAccount: string
      readonly pod: { readonly name: string; readonly uid: string }
    }
  | { readonly ok: false; readonly status: 401 | 403; readonly reason: string }

function readReview(review: TokenReview | undefined): Reviewed {
  const { authenticated, error, audiences, user } = review?.status ?? {}
  if (authenticated !== true) {
    return INVALIDATED.test(String(error ?? ''))
      ? { ok: false, status: 403, reason: 'token-invalidated' }
      : { ok: false, status: 401, reason: 'token-refused' }
  }
  // An API server that knows no audiences says yes and names none (KEP-1205): such a yes is for anybody's token.
  if (!Array.isArray(audiences) || !audiences.includes(TOKEN_AUDIENCE)) {
    return { ok: false, status: 401, reason: 'wrong-audience' }
  }
  const [, namespace, serviceAccount] = USERNAME.exec(String(user?.username ?? '')) ?? []
  if (namespace === undefined || serviceAccount === undefined) {
    return { ok: false, status: 401, reason: 'no-service-account' }
  }
  const name = onlyOf(user?.extra?.[POD_NAME])
  const uid = onlyOf(user?.extra?.[POD_UID])
  if (name === undefined || uid === undefined) return { ok: false, status: 403, reason: 'token-not-bound' }
  return { ok: true, namespace, serviceAccount, pod: { name, uid } }
}

function onlyOf(values: unknown): string | undefined {
  if (!Array.isArray(values) || values.length !== 1) return undefined
  const [value] = values as readonly unknown[]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** What the token says of its pod, and where the connection comes from. */
interface BoundPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly serviceAccount: string
  readonly address: string
}

/** Why a pod is not the one that asks; undefined: it is. */
function faultOf(resource: Resource, { uid, serviceAccount, address }: BoundPod): string | undefined {
  const read = readPod(resource)
  if (!read.ok) return 'malformed-pod'
  const { spec, status } = read.value
  if (resource.metadata.uid !== uid) return 'another-pod'
  if (resource.metadata.deletionTimestamp !== undefined) return 'pod-being-deleted'
  if (spec.serviceAccountName !== serviceAccount) return 'another-service-account'
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return 'pod-ended'
  const addresses = [status?.podIP, ...(status?.podIPs ?? []).map(({ ip }) => ip)].flatMap((ip) => addressOf(ip) ?? [])
  // The kubelet tells the API server of it a moment after the first containers have begun.
  if (addresses.length === 0) return 'unknown-pod-address'
  return addresses.includes(address) ? undefined : 'wrong-source-address'
}

/** One spelling of each address. An IPv4 client of an IPv6 socket is an IPv4 client. */
function addressOf(text: string | undefined): string | undefined {
  const [address = ''] = (text ?? '').split('%', 1)
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : undefined
}

function refuse(status: 401 | 403, reason: string): Refusal {
  return { ok: false, status, reason }
}

function busy(waitMs: number): Refusal {
  return { ok: false, status: 429, reason: 'too-many-requests', retryAfterSeconds: Math.ceil(waitMs / 1_000) }
}
