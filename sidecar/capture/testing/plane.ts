import type { EndpointsDocument } from '../../../contract/endpoints.ts'
import type { WorkloadConfig } from '../../../contract/workload-config.ts'
import { FILTERS } from '../../../policies/filters.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import type { Identity } from '../../identity/identity.ts'
import { createIdentityStore } from '../../identity/identity-store.ts'
import { createDataPlane } from '../../serve/data-plane.ts'
import type { ConnectionRecord, RequestRecord } from '../../serve/observation.ts'
import { compiled, gate, PATIENT } from '../../serve/testing/world.ts'
import { type CapturePlace, createCapture } from '../capture.ts'
import type { Lookup } from '../names.ts'
import { openOriginalDestination } from '../original-destination.ts'

export interface Records {
  readonly requests: readonly RequestRecord[]
  readonly connections: readonly ConnectionRecord[]
}

export interface PlaneState {
  readonly config: WorkloadConfig
  readonly endpoints: EndpointsDocument
}

/** What an agent can be told to do, and what it answers. */
export interface Orders {
  readonly serve: {
    /** `greet` speaks first, `echo` says what it heard, `http` says what was asked for. */
    readonly order: {
      readonly host: string
      readonly port: number
      readonly what: 'http' | 'greet' | 'echo'
      readonly name: string
    }
    readonly answer: string
  }
  readonly talk: {
    readonly order: {
      readonly host: string
      readonly port: number
      readonly send?: string
      readonly tls?: { readonly serverName: string }
      /** Ends as soon as this was heard. */
      readonly until?: string
    }
    readonly answer: { readonly heard: string; readonly ended: string }
  }
  readonly plane: {
    readonly order: PlaneState & {
      readonly identity: Identity
      readonly capture: CapturePlace
      /** What DNS says; absent: the machine's own is asked. */
      readonly names?: Readonly<Record<string, readonly string[]>>
    }
    readonly answer: string
  }
  readonly update: { readonly order: Partial<PlaneState>; readonly answer: string }
  readonly records: { readonly order: Record<string, never>; readonly answer: Records }
}

const FILTERS_AND_GATE = [...FILTERS, gate]

function lookupIn(names: Readonly<Record<string, readonly string[]>>): Lookup {
  return async (host) => {
    const found = names[host]
    if (found === undefined) throw new Error(`${host} is not known`)
    return found
  }
}

/** A data plane with the kernel's own word on original destinations. */
export async function startPlane({ config, endpoints, identity, capture, names }: Orders['plane']['order']) {
  let pipeline = compiled(config, undefined, FILTERS_AND_GATE)
  let newest = endpoints
  const requests: RequestRecord[] = []
  const connections: ConnectionRecord[] = []
  const plane = createDataPlane({
    placement: { inbound: [], gateway: [], tcp: [] },
    pipeline: () => pipeline,
    endpoints: () => newest,
    identity: createIdentityStore(identity),
    observer: {
      request: (record) => requests.push(record),
      connection: (record) => connections.push(record),
    },
    clock: systemClock,
    log: silentLog,
    limits: PATIENT,
    capture: createCapture({
      ...capture,
      originalDestination: openOriginalDestination(),
      ...(names && { lookup: lookupIn(names) }),
    }),
  })
  await plane.listen()
  return {
    records: { requests, connections },
    async update(next: Partial<PlaneState>) {
      newest = next.endpoints ?? newest
      if (next.config === undefined) return
      const previous = pipeline
      pipeline = compiled(next.config, previous, FILTERS_AND_GATE)
      await plane.apply(previous, pipeline)
    },
  }
}
