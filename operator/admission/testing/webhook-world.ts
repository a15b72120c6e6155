import { request } from 'node:https'
import type { TestContext } from 'node:test'
import { type HostnamePattern, parseHostnamePattern } from '../../../model/hostname.ts'
import type { Resource } from '../../../model/resource.ts'
import { parseTrustDomain, type TrustDomain } from '../../../model/spiffe-id.ts'
import { pemsOf } from '../../../model/x509/bundle.ts'
import { type Clock, systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { createMetrics } from '../../../runtime/metrics.ts'
import { type Authority, openAuthority } from '../../identity/authority.ts'
import { SETTINGS } from '../../inject/testing/context.ts'
import { snapshotOf } from '../../store/snapshot.ts'
import { DEPS } from '../../translate/testing/world.ts'
import { translate } from '../../translate/translate.ts'
import { admissionMetrics } from '../metrics.ts'
import { createInjectHandler, createPodReviewHandler } from '../pod-handlers.ts'
import { createPolicyHandler } from '../policy-handler.ts'
import { type AdmissionServerOptions, startAdmissionServer } from '../server.ts'

export const SECRET = '0123456789abcdef'.repeat(4)
export const HOST = 'hauberk-operator.hauberk-system.svc'

const trustDomain = parseTrustDomain('cluster.local') as { value: TrustDomain }
const dnsName = parseHostnamePattern(HOST) as { value: HostnamePattern }

/** An authority whose keys are in the memory of this process. */
export function openMemoryAuthority(clock: Clock): Promise<Authority> {
  const entries = new Map<string, string>()
  return openAuthority({
    store: {
      read: async (name) => entries.get(name),
      async create(name, content) {
        if (!entries.has(name)) entries.set(name, content)
        return entries.get(name) as string
      },
    },
    trustDomain: trustDomain.value,
    clock,
    log: silentLog,
  })
}

export interface Reply {
  readonly status: number
  readonly body: string
}

/** A webhook server with the real handlers, over resources that stay as they are. */
export async function startWebhooks(
  t: TestContext,
  { resources = [], ...options }: Partial<AdmissionServerOptions> & { readonly resources?: readonly Resource[] } = {},
) {
  const clock = options.clock ?? systemClock
  const authority = options.authority ?? (await openMemoryAuthority(clock))
  const snapshot = snapshotOf(resources)
  const translation = translate(snapshot, DEPS)
  const metrics = createMetrics()
  const counted = admissionMetrics(metrics)
  const pods = { snapshot: () => snapshot, settings: SETTINGS, metrics: counted }
  const server = await startAdmissionServer({
    host: '127.0.0.1',
    port: 0,
    authority,
    dnsNames: [dnsName.value],
    secret: SECRET,
    handlers: {
      inject: createInjectHandler(pods),
      pods: createPodReviewHandler(pods),
      policies: createPolicyHandler({
        snapshot: () => snapshot,
        translation: () => translation,
        roots: () => DEPS.mesh.roots,
        clock,
      }),
    },
    clock,
    log: silentLog,
    metrics: counted,
    ...options,
  })
  t.after(() => server.close())
  const ca = 'trustBundle' in authority ? pemsOf((authority as Authority).trustBundle()) : []

  /** Sends a request as the API server would: to the name of the Service, trusting the roots of the mesh. */
  const send = (
    path: string,
    body: string | Buffer | undefined,
    more: {
      readonly method?: string
      readonly headers?: Record<string, string>
      readonly key?: string
      readonly cert?: string
    } = {},
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const { method = 'POST', headers = {}, ...tls } = more
      const asked = request(
        {
          host: '127.0.0.1',
          port: server.port,
          servername: HOST,
          ca: [...ca],
          ...tls,
          method,
          path,
          agent: false,
          headers: { 'content-type': 'application/json', ...headers },
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
          )
          response.on('error', reject)
        },
      )
      asked.on('error', reject)
      asked.end(body)
    })

  return { server, ca, send, metrics: () => metrics.text() }
}

/** The body of an AdmissionReview. */
export function reviewOf(
  object: unknown,
  {
    kind = 'Pod',
    group = '',
    operation = 'CREATE',
    namespace = 'shop',
    ...rest
  }: {
    readonly kind?: string
    readonly group?: string
    readonly operation?: string
    readonly namespace?: string
    readonly name?: string
    readonly subResource?: string
    readonly oldObject?: unknown
  } = {},
): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'b7a3',
      kind: { group, version: 'v1', kind },
      resource: { group, version: 'v1', resource: `${kind.toLowerCase()}s` },
      operation,
      namespace,
      userInfo: { username: 'kubernetes-admin' },
      object,
      dryRun: false,
      ...rest,
    },
  })
}
