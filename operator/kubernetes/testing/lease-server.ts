import type { Clock } from '../../../runtime/clock.ts'
import { sleep } from '../../../runtime/clock.ts'
import type { KubernetesClient, KubernetesRequest } from '../client.ts'
import { KubernetesError } from '../errors.ts'
import { recordOf } from '../object.ts'

/** What is between one candidate and the API server. */
export type Link = 'up' | 'refused' | 'silent' | 'deaf'

/** One Lease with the API server's optimistic locking, reached over links that a test breaks. Time is the test's. */
export interface LeaseServer {
  /** The newest state; undefined when there is none. */
  lease(): Readonly<Record<string, unknown>> | undefined
  /** Changes the Lease as somebody else would. */
  edit(change: (lease: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>): void
  delete(): void
  /** `silent`: requests are lost. `deaf`: they arrive, and their answers are lost. */
  connect(clock: Clock): KubernetesClient & { link: Link; latencyMs: number }
}

export function createLeaseServer(): LeaseServer {
  let lease: Readonly<Record<string, unknown>> | undefined
  let version = 0
  const store = (next: unknown) => {
    version += 1
    const { metadata, ...rest } = next as Readonly<Record<string, unknown>>
    lease = structuredClone({ ...rest, metadata: { ...recordOf(metadata), resourceVersion: String(version) } })
    return lease
  }
  const refuse = (status: number, reason: string): never => {
    throw new KubernetesError({ status, reason, message: reason })
  }

  const serve = ({ method, body }: KubernetesRequest): unknown => {
    if (method === 'POST') return lease === undefined ? store(body) : refuse(409, 'AlreadyExists')
    if (lease === undefined) return refuse(404, 'NotFound')
    if (method !== 'PUT') return structuredClone(lease)
    const mine = recordOf(recordOf(body)['metadata'])['resourceVersion']
    return mine === recordOf(lease['metadata'])['resourceVersion'] ? store(body) : refuse(409, 'Conflict')
  }

  return {
    lease: () => lease,
    edit(change) {
      if (lease !== undefined) store(change(lease))
    },
    delete() {
      lease = undefined
    },
    connect: (clock) => ({
      link: 'up',
      latencyMs: 0,
      server: 'test',
      namespace: undefined,
      async request<T>(request: KubernetesRequest): Promise<T> {
        const { timeoutMs = 30_000, signal } = request
        const lost = async (): Promise<never> => {
          await sleep(clock, timeoutMs, { signal: signal ?? new AbortController().signal })
          throw new KubernetesError({ status: 0, reason: 'Timeout', message: 'no answer' })
        }
        if (this.latencyMs > 0) await sleep(clock, this.latencyMs)
        if (this.link === 'refused') throw new KubernetesError({ status: 0, reason: 'Unreachable', message: 'refused' })
        if (this.link === 'silent') return lost()
        const answer = serve(request)
        return this.link === 'deaf' ? lost() : (answer as T)
      },
      stream: () => Promise.reject(new Error('there are no streams')),
      close() {},
    }),
  }
}
