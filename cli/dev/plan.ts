import { resolve } from 'node:path'
import type { GatewayListener, StreamListener, WorkloadConfig } from '../../contract/workload-config.ts'
import { type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import { type WorkloadId, workloadIdFor } from '../../model/workload-id.ts'
import { readDeployment } from '../../operator/resources/deployment.ts'
import type { Container } from '../../operator/resources/pod.ts'
import type { BindAddress, Placement } from '../../sidecar/serve/placement.ts'
import { appEnvironment } from './app-environment.ts'
import { type AppManifest, readAppManifest, type SecretMount } from './app-manifest.ts'

/** Where everything of a local mesh runs. */
export interface MeshPlan {
  readonly workloads: readonly WorkloadPlan[]
  readonly gateways: readonly GatewayPlan[]
  readonly issues: readonly Issue[]
}

/** A sidecar or gateway process. */
export interface ProxyPlan {
  readonly id: WorkloadId
  /** `shop.orders`: names of files, and of processes in messages. */
  readonly name: string
  /** `namespace/pod`. */
  readonly pod: string
  readonly spiffeId: SpiffeId
  readonly adminPort: number
  readonly placement: Placement
}

/** A workload: its app and the sidecar in front of it. */
export interface WorkloadPlan extends ProxyPlan {
  readonly serviceAccount: string
  /** Of the pod template. */
  readonly labels: Readonly<Record<string, string>>
  /** Of the pod template: Services name its ports. */
  readonly containers: readonly Container[]
  readonly app: AppPlan
  /** Where the sidecar puts the identity as PKCS#12 files. Absent: nobody asked. */
  readonly keystoreDirectory?: string
  readonly mounts: readonly MountPlan[]
}

export type AppPlan = CommandPlan | PostgresPlan

/** An app that is a command. */
export interface CommandPlan {
  readonly kind: 'command'
  readonly argv: readonly [string, ...string[]]
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
  /** How to see that it is ready; absent: it has no port, and is ready when it runs. */
  readonly readiness?: { readonly port: number /** Absent: when the port accepts. */; readonly path?: string }
}

/** The Postgres that comes with us. */
export interface PostgresPlan {
  readonly kind: 'postgres'
  readonly user: string
  readonly database: string
  /** Absent: it trusts whoever reaches its socket, which is its sidecar. */
  readonly passwordFile?: string
  readonly socketDirectory: string
}

/** Files of a mounted Secret: links in a directory of their own. */
export interface MountPlan {
  readonly directory: string
  readonly links: readonly { readonly path: string; readonly target: string }[]
}

/** The gateway process of one Gateway. */
export interface GatewayPlan extends ProxyPlan {
  readonly listeners: readonly GatewayListenerPlan[]
}

export interface GatewayListenerPlan {
  readonly name: string
  /** As the Gateway says it. */
  readonly port: number
  readonly localPort: number
  readonly protocol: 'http' | 'https' | 'tls' | 'tcp'
  readonly hostname?: string
}

export interface PlanInput {
  /** What translation made of the resources: what the plan says is what sidecars will be told. */
  readonly configs: ReadonlyMap<WorkloadId, WorkloadConfig>
  /** Deployments, and the directory of the file that each stands in. */
  readonly deployments: readonly { readonly resource: Resource; readonly directory: string }[]
  /** Keys of each Secret, by `namespace/name`. */
  readonly secretKeys: ReadonlyMap<string, readonly string[]>
  /** Where the value of a key is. */
  readonly secretFile: (secret: string, key: string) => string
  readonly mountDirectory: (workload: string, volume: string) => string
  readonly socketDirectory: (workload: string) => string
  readonly inheritedEnvironment: Readonly<Record<string, string>>
  /** The Node that a command's first word `node` means. */
  readonly nodePath: string
  /** A free port for a purpose; the same one each time that it is asked for. */
  readonly takePort: (purpose: string) => Promise<number>
  /** The port of this machine that a Gateway's port is published on. */
  readonly takeGatewayPort: (gateway: WorkloadId, port: number) => Promise<number>
  /** The secret that a workload shows its own proxy. */
  readonly credential: (workload: WorkloadId) => string
}

const LOOPBACK = '127.0.0.1'

/** The name of the one pod that each Deployment has on this machine. */
const POD_SUFFIX = '-local'

export async function planMesh(input: PlanInput): Promise<MeshPlan> {
  const issues: Issue[] = []
  const workloads: WorkloadPlan[] = []
  for (const { resource, directory } of input.deployments) {
    const { name, namespace = 'default' } = resource.metadata
    const found = (each: Issue) => issues.push({ ...each, resource: resourceKey('Deployment', namespace, name) })
    const manifest = readAppManifest(resource)
    if (manifest === undefined) continue
    const id = workloadIdFor(namespace, name)
    const config = id.ok ? input.configs.get(id.value) : undefined
    if (!manifest.ok) manifest.issues.forEach(found)
    else if (!id.ok || config === undefined) found(issue('not-meshed', '', 'is no workload of the mesh'))
    else {
      manifest.value.warnings.forEach(found)
      const plan = await planWorkload(id.value, resource, directory, manifest.value, config, input)
      if ('issue' in plan) found(plan.issue)
      else workloads.push(plan)
    }
  }
  const gateways: GatewayPlan[] = []
  for (const [id, config] of input.configs) {
    if (config.role === 'gateway') gateways.push(await planGateway(id, config, input))
  }
  return { workloads, gateways, issues }
}

async function planWorkload(
  id: WorkloadId,
  resource: Resource,
  directory: string,
  manifest: AppManifest,
  config: WorkloadConfig,
  input: PlanInput,
): Promise<WorkloadPlan | { readonly issue: Issue }> {
  const name = fileNameOf(id)
  const bind = async (purpose: string): Promise<BindAddress> => ({
    host: LOOPBACK,
    port: await input.takePort(`${id} ${purpose}`),
  })
  const mounts = manifest.mounts.map((mount) => planMount(name, mount, manifest.namespace, input))
  const unmet = mounts.find((mount) => 'issue' in mount)
  if (unmet !== undefined) return unmet

  const inboundPorts = config.listeners.flatMap((listener) => (listener.kind === 'inbound' ? listener.port : []))
  const isPostgres = manifest.command === 'postgres'
  // The app is told one port, which stands for the first that the container declares. Others are where they are.
  const mainPort = manifest.ports[0]?.containerPort ?? inboundPorts[0]
  const appPort = isPostgres || mainPort === undefined ? undefined : await input.takePort(`${id} app ${mainPort}`)
  const socketDirectory = input.socketDirectory(name)
  const appAddress = (containerPort: number) =>
    isPostgres
      ? { unixSocket: `${socketDirectory}/.s.PGSQL.5432` }
      : { host: LOOPBACK, port: containerPort === mainPort && appPort !== undefined ? appPort : containerPort }
  const inbound = await Promise.all(
    inboundPorts.map(async (containerPort) => ({
      containerPort,
      bind: await bind(`inbound ${containerPort}`),
      app: appAddress(containerPort),
    })),
  )
  const tcp = await Promise.all(
    config.outbound.services
      .filter(({ protocol }) => protocol === 'tcp')
      .map(async ({ upstream, hosts, port }) => ({ upstream, hosts, port, bind: await bind(`tcp ${upstream}`) })),
  )
  const proxy = { bind: await bind('proxy'), credential: { username: name, password: input.credential(id) } }
  const { keystores } = manifest
  const keystoreDirectory = keystores && input.mountDirectory(name, keystores.volume)
  const environment = appEnvironment({
    env: manifest.env,
    inherited: input.inheritedEnvironment,
    ...(appPort !== undefined && { port: appPort }),
    proxy: proxyUrl(proxy),
    mounts: [
      ...mounts.flatMap((mount) => ('path' in mount ? mount : [])),
      ...(keystores && keystoreDirectory !== undefined
        ? [{ mountPath: keystores.mountPath, path: keystoreDirectory }]
        : []),
    ],
    tcpPeers: tcp.map((peer) => ({ hosts: peer.hosts, port: peer.port, localPort: peer.bind.port })),
  })
  const app = isPostgres
    ? planPostgres(environment, socketDirectory)
    : planCommand(manifest, directory, environment, appPort, appAddress, input.nodePath)
  if ('issue' in app) return app
  const read = readDeployment(resource)
  const template = read.ok ? read.value.spec.template : undefined
  return {
    id,
    name,
    pod: `${manifest.namespace}/${manifest.name}${POD_SUFFIX}`,
    spiffeId: config.identity.spiffeId as SpiffeId,
    adminPort: await input.takePort(`${id} admin`),
    placement: {
      inbound,
      gateway: [],
      proxy,
      tcp: tcp.map(({ upstream, bind: address }) => ({ upstream, bind: address })),
    },
    serviceAccount: template?.spec.serviceAccountName ?? 'default',
    labels: template?.metadata?.labels ?? {},
    containers: template?.spec.containers ?? [],
    app,
    ...(keystoreDirectory !== undefined && { keystoreDirectory }),
    mounts: mounts.flatMap((mount) => ('plan' in mount ? mount.plan : [])),
  }
}

/** `shop.orders`: no namespace holds a dot. */
export function fileNameOf(id: WorkloadId): string {
  return id.replace('/', '.')
}

/** The proxy as HTTP clients are told of it, credential included. */
export function proxyUrl({ bind, credential }: NonNullable<Placement['proxy']>): string {
  return `http://${credential.username}:${credential.password}@${bind.host}:${bind.port}`
}

function planCommand(
  { command, ports, readinessProbe }: AppManifest,
  directory: string,
  environment: Readonly<Record<string, string>>,
  appPort: number | undefined,
  appAddress: (containerPort: number) => { readonly port?: number },
  nodePath: string,
): CommandPlan | { readonly issue: Issue } {
  const [program, ...args] = command === 'postgres' ? [command] : command
  const probed = readinessProbe && portOf(readinessProbe.port, ports)
  if (readinessProbe !== undefined && probed === undefined) {
    const path = 'spec.template.spec.containers[0].readinessProbe.httpGet.port'
    return { issue: issue('no-such-port', path, `the container has no port ${readinessProbe.port}`) }
  }
  const port = probed === undefined ? appPort : appAddress(probed).port
  return {
    kind: 'command',
    argv: [program === 'node' ? nodePath : program, ...args],
    directory: resolve(directory),
    environment,
    ...(port !== undefined && {
      readiness: { port, ...(readinessProbe !== undefined && { path: readinessProbe.path }) },
    }),
  }
}

function portOf(port: number | string, ports: AppManifest['ports']): number | undefined {
  if (typeof port === 'number') return port
  return /^[0-9]+$/.test(port) ? Number(port) : ports.find(({ name }) => name === port)?.containerPort
}

/** As the image `postgres` reads its environment. */
function planPostgres(
  environment: Readonly<Record<string, string>>,
  socketDirectory: string,
): PostgresPlan | { readonly issue: Issue } {
  const {
    POSTGRES_USER: user = 'postgres',
    POSTGRES_DB: database = user,
    POSTGRES_PASSWORD_FILE: passwordFile,
    POSTGRES_HOST_AUTH_METHOD: method,
  } = environment
  if (passwordFile !== undefined) return { kind: 'postgres', user, database, passwordFile, socketDirectory }
  if (method === 'trust') return { kind: 'postgres', user, database, socketDirectory }
  return {
    issue: issue(
      'no-password',
      'spec.template.spec.containers[0].env',
      'Postgres has neither POSTGRES_HOST_AUTH_METHOD nor POSTGRES_PASSWORD_FILE',
      'set POSTGRES_HOST_AUTH_METHOD to trust where a postgres section of a SecurityPolicy says who its users are, else mount a Secret and name its file',
    ),
  }
}

function planMount(
  workload: string,
  { volume, mountPath, subPath, secret, items, optional }: SecretMount,
  namespace: string,
  { secretKeys, secretFile, mountDirectory }: PlanInput,
): { readonly mountPath: string; readonly path: string; readonly plan: MountPlan } | { readonly issue: Issue } {
  const id = `${namespace}/${secret}`
  const keys = secretKeys.get(id)
  const missing = (message: string) => ({ issue: issue('no-such-secret', 'spec.template.spec.volumes', message) })
  if (keys === undefined && !optional) return missing(`there is no Secret ${id}, which the volume ${volume} holds`)
  const wanted = items ?? (keys ?? []).map((key) => ({ key, path: key }))
  const absent = wanted.find(({ key }) => keys?.includes(key) !== true)
  if (absent !== undefined && !optional) return missing(`Secret ${id} has no key ${absent.key}`)
  const directory = mountDirectory(workload, volume)
  return {
    mountPath,
    path: subPath === undefined ? directory : `${directory}/${subPath}`,
    plan: {
      directory,
      links: wanted
        .filter(({ key }) => keys?.includes(key) === true)
        .map(({ key, path }) => ({ path, target: secretFile(id, key) })),
    },
  }
}

async function planGateway(id: WorkloadId, config: WorkloadConfig, input: PlanInput): Promise<GatewayPlan> {
  const listeners = await Promise.all(
    gatewayListenersIn(config).map(async ({ name, port, protocol, hostname }) => {
      const localPort = await input.takeGatewayPort(id, port)
      return { name, port, localPort, protocol, ...(hostname !== undefined && { hostname }) }
    }),
  )
  return {
    id,
    name: fileNameOf(id),
    pod: `${id}${POD_SUFFIX}`,
    spiffeId: config.identity.spiffeId as SpiffeId,
    adminPort: await input.takePort(`${id} admin`),
    placement: {
      inbound: [],
      gateway: listeners.map(({ name, localPort }) => ({
        listener: name,
        bind: { host: LOOPBACK, port: localPort },
        visiblePort: localPort,
      })),
      tcp: [],
    },
    listeners,
  }
}

function gatewayListenersIn({
  listeners,
  streams = [],
}: WorkloadConfig): readonly (GatewayListener | StreamListener)[] {
  return [...listeners.flatMap((listener) => (listener.kind === 'gateway' ? listener : [])), ...streams]
}
