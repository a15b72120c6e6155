import { join } from 'node:path'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { LOCAL_PORTS_ANNOTATION } from '../../operator/translate/workloads.ts'
import { APP_ID, CLIENT_ID, GATEWAY_ID } from '../world/certificates.ts'
import { freePort, untilListening } from '../world/process.ts'
import type { World } from '../world/world.ts'
import type { Peer, RunningPeer } from './peer.ts'
import { readMesh, runSidecar, startSidecar, writeSidecar } from './sidecar.ts'

export type Policy =
  /** A rule on the caller's SPIFFE ID. */
  | 'identity'
  /** That, a token and a rate limit for each subject. */
  | 'jwt-limit'
  /** As `jwt-limit`, to an application that speaks HTTP/2 only. */
  | 'grpc'
  /** A rule on the caller, for a port of opaque TCP. */
  | 'tcp'
  /** A rule on the gateway's SPIFFE ID. */
  | 'gateway'

export interface HauberkOptions {
  /** A file of `bench/mesh/`. */
  readonly policy: Policy
  /** The bundle to run; absent: that of this tree. */
  readonly bundle?: string | undefined
  /** What is behind it. Default: what the policy is for. */
  readonly app?: 'backend' | 'echo' | 'grpc'
  /** Threads that serve. Default: one. */
  readonly workers?: number
  /** Whom it is connected to. Default: nobody answers, and it starts with what it was given before. */
  readonly operator?: AskedOperator
}

/** Starts an operator with these resources. */
export type AskedOperator = (
  world: World,
  directory: string,
  resources: readonly Resource[],
) => Promise<{ readonly port: number; readonly spiffeId: string; stop(): Promise<void> }>

export const APP = 'bench/app' as WorkloadId
const CALLER = 'bench/client' as WorkloadId
const CONTAINER_PORT = 8080

/** A sidecar in front of the application: mutual TLS in, plaintext out. */
export function hauberk({ policy, bundle, app = APPS[policy], workers, operator }: HauberkOptions): Peer {
  const prepare: NonNullable<Peer['prepare']> = async (world, directory) => {
    const port = await freePort()
    const resources = await readMesh(policy)
    const asked = await operator?.(world, directory, resources)
    const options = await writeSidecar(world, directory, {
      workload: APP,
      spiffeId: APP_ID,
      certificate: world.certificates.server,
      placement: { inbound: [await inboundPlace(world, port, app)] },
      resources,
      workers,
      ...(asked && { operator: asked }),
    })
    return async () => {
      const child = await runSidecar(world, directory, options, bundle)
      return {
        pids: [child.pid],
        port,
        untilListening: () => untilListening(port, child, workers),
        stop: async () => void (await Promise.all([child.stop(), asked?.stop()])),
      }
    }
  }
  return {
    programs: [],
    prepare,
    async start(world, directory) {
      const run = await prepare(world, directory)
      const running = await run()
      await running.untilListening?.()
      return running
    },
  }
}

const APPS = { identity: 'backend', 'jwt-limit': 'backend', grpc: 'grpc', tcp: 'echo', gateway: 'backend' } as const

/** Where a sidecar for {@link APP} listens, and what is behind it. */
export async function inboundPlace(world: World, port: number, app: 'backend' | 'echo' | 'grpc') {
  const { port: appPort } = app === 'backend' ? world.backend : app === 'echo' ? await world.echo() : await world.grpc()
  return {
    containerPort: CONTAINER_PORT,
    bind: { host: '127.0.0.1', port },
    app: { host: '127.0.0.1', port: appPort },
  }
}

/** What the caller's own application says to its sidecar. */
const CREDENTIAL = { username: 'client', password: 'bench-proxy-0123456789abcdef' }
export const PAIR_HEADERS = {
  Host: 'app',
  'Proxy-Authorization': `Basic ${Buffer.from(`${CREDENTIAL.username}:${CREDENTIAL.password}`).toString('base64')}`,
}
export const PAIR_ORIGIN = 'http://app'

/** The sidecar of a caller, which is called in plaintext, and that of the application, with mutual TLS between them. */
export function hauberkPair({ bundle }: { readonly bundle?: string | undefined } = {}): Peer {
  return {
    programs: [],
    async start(world, directory) {
      const callee = await hauberk({ policy: 'identity', bundle }).start(world, join(directory, 'callee'))
      const port = await freePort()
      const caller = await startSidecar(world, join(directory, 'caller'), {
        workload: CALLER,
        spiffeId: CLIENT_ID,
        certificate: world.certificates.client,
        placement: { proxy: { bind: { host: '127.0.0.1', port }, credential: CREDENTIAL } },
        resources: [...(await readMesh('identity')), deploymentOf('client'), podOf('app', callee.port)],
        bundle,
      })
      await untilListening(port, caller)
      return both({ pids: [caller.pid], port, stop: caller.stop }, callee, true)
    },
  }
}

/** Called at the first; measured are both of them, or the first alone. */
export function both(first: RunningPeer, second: RunningPeer, measuresBoth: boolean): RunningPeer {
  return {
    pids: measuresBoth ? [...first.pids, ...second.pids] : first.pids,
    port: first.port,
    stop: async () => void (await Promise.all([first.stop(), second.stop()])),
  }
}

export interface GatewayOptions {
  /** Each with a path of its own. */
  readonly routes: number
  /** Each for one of the routes. */
  readonly policies: number
  readonly bundle?: string | undefined
  /** Whom it is connected to. Default: nobody answers. */
  readonly operator?: AskedOperator
}

/** As the workload of the Gateway `bench/edge` is named. */
const GATEWAY = 'hauberk-system/gateway-bench-edge' as WorkloadId
const GATEWAY_LISTENER = 'http'

/** The path of route number `route`. */
export function pathOfRoute(route: number): string {
  return `/area-${route % 10}/service-${route}/orders`
}

/** A gateway with a plaintext listener in front of a sidecar and its application: what is measured is the gateway. */
export function hauberkGateway({ routes, policies, bundle, operator }: GatewayOptions): Peer {
  return {
    programs: [],
    async start(world, directory) {
      const callee = await hauberk({ policy: 'gateway', bundle }).start(world, join(directory, 'callee'))
      const port = await freePort()
      const resources = [...(await readMesh('gateway')), ...routesOf(routes, policies), podOf('app', callee.port)]
      const asked = await operator?.(world, directory, resources)
      const gateway = await startSidecar(world, join(directory, 'gateway'), {
        workload: GATEWAY,
        spiffeId: GATEWAY_ID,
        certificate: world.certificates.gateway,
        placement: { gateway: [{ listener: GATEWAY_LISTENER, bind: { host: '127.0.0.1', port } }] },
        resources,
        bundle,
        ...(asked && { operator: asked }),
      })
      await untilListening(port, gateway)
      const running = both({ pids: [gateway.pid], port, stop: gateway.stop }, callee, false)
      return { ...running, stop: async () => void (await Promise.all([running.stop(), asked?.stop()])) }
    },
  }
}

function routesOf(routes: number, policies: number): readonly Resource[] {
  return Array.from({ length: routes }, (_, i) => [
    routeResource(i),
    ...(i < policies ? [policyOfRoute(i, 1, true)] : []),
  ]).flat()
}

function routeResource(route: number): Resource {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: `route-${route}`, namespace: 'bench', generation: 1 },
    spec: {
      parentRefs: [{ name: 'edge' }],
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: pathOfRoute(route) } }],
          backendRefs: [{ name: 'app', port: 80 }],
        },
      ],
    },
  }
}

/** The policy for a route, as its `generation`-th edit has it: GET is allowed, or nothing but POST. */
export function policyOfRoute(route: number, generation: number, allowsGet: boolean): Resource {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name: `route-${route}`, namespace: 'bench', generation },
    spec: {
      targetRefs: [{ kind: 'HTTPRoute', name: `route-${route}` }],
      authorization: { allow: [{ name: 'reads', to: { methods: [allowsGet ? 'GET' : 'POST'] } }] },
      rateLimit: [{ name: 'all', limit: { requests: 1_000_000, per: '1s' } }],
    },
  }
}

function deploymentOf(name: string): Resource {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'bench', generation: 1 },
    spec: {
      template: {
        metadata: { labels: { app: name } },
        spec: { serviceAccountName: name, containers: [{ name, ports: [{ containerPort: 9090 }] }] },
      },
    },
  }
}

/** The one pod of a workload on this machine, and where its sidecar listens. */
function podOf(name: string, port: number): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${name}-1`,
      namespace: 'bench',
      labels: { app: name },
      annotations: { [LOCAL_PORTS_ANNOTATION]: JSON.stringify({ [CONTAINER_PORT]: port }) },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name, uid: name }],
    },
    spec: {
      serviceAccountName: name,
      containers: [{ name: 'app', ports: [{ name: 'http', containerPort: CONTAINER_PORT }] }],
    },
    status: { phase: 'Running', podIP: '127.0.0.1', conditions: [{ type: 'Ready', status: 'True' }] },
  }
}
