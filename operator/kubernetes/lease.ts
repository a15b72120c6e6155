import { readObject, recordOf } from './object.ts'

/** A Lease (coordination.k8s.io/v1) as a candidate reads it. */
export interface Lease {
  /** Empty when nobody has it. */
  readonly holder: string
  readonly annotations: Readonly<Record<string, string>>
  readonly durationMs: number
  /** All that its holder writes: as long as this stays the same, it has not been renewed. */
  readonly record: string
  /** As it came, for what is written next. */
  readonly object: Readonly<Record<string, unknown>>
}

/** What a candidate writes. */
export interface LeaseWriting {
  readonly namespace: string
  readonly name: string
  /** Empty: nobody. */
  readonly holder: string
  readonly annotations: Readonly<Record<string, string>>
  readonly durationMs: number
  readonly nowMs: number
}

export function readLease(value: unknown): Lease {
  const object = readObject(value)
  const spec = recordOf(object['spec'])
  const { holderIdentity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions } = spec
  const holder = typeof holderIdentity === 'string' ? holderIdentity : ''
  return {
    holder,
    annotations: Object.fromEntries(
      Object.entries(recordOf(object.metadata['annotations'])).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    ),
    durationMs: typeof leaseDurationSeconds === 'number' ? leaseDurationSeconds * 1_000 : 0,
    record: JSON.stringify([holder, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions]),
    object,
  }
}

/** The object to write over `before`, only if nobody was faster; without one, to create. Times are for people to read. */
export function leaseObject(
  { namespace, name, holder, annotations, durationMs, nowMs }: LeaseWriting,
  before: Lease | undefined,
): unknown {
  const now = microTime(nowMs)
  const spec = recordOf(before?.object['spec'])
  const metadata = recordOf(before?.object['metadata'])
  const isSameHolder = before?.holder === holder
  const transitions = typeof spec['leaseTransitions'] === 'number' ? spec['leaseTransitions'] : 0
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...metadata, namespace, name, annotations: { ...recordOf(metadata['annotations']), ...annotations } },
    spec: {
      ...spec,
      holderIdentity: holder,
      leaseDurationSeconds: Math.round(durationMs / 1_000),
      acquireTime: isSameHolder ? (spec['acquireTime'] ?? now) : now,
      renewTime: now,
      leaseTransitions: before === undefined || isSameHolder || holder === '' ? transitions : transitions + 1,
    },
  }
}

/** RFC 3339 with six decimals, as `metav1.MicroTime` wants it. */
export function microTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000Z`
}
