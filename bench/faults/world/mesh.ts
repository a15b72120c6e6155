import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Resource } from '../../../model/resource.ts'
import { parseSpiffeId, type SpiffeId } from '../../../model/spiffe-id.ts'
import type { WorkloadId } from '../../../model/workload-id.ts'
import { createJoinTokens } from '../../../operator/identity/join-tokens.ts'
import { gatewayServiceAccount } from '../../../operator/translate/gateways.ts'
import { LOCAL_PORTS_ANNOTATION } from '../../../operator/translate/workloads.ts'
import { systemClock } from '../../../runtime/clock.ts'
import type { SidecarOptions } from '../../../sidecar/options.ts'
import type { FaultTools } from '../scenario.ts'
import { freePort } from './ports.ts'
import { type Program, startProgram } from './program.ts'
import { until } from './until.ts'

/** How a program is started beside the usual. */
export interface HowToStart {
  /** Words before the command: `prlimit --nofile=200`. */
  readonly before?: readonly string[]
  /** Arguments of Node's own. */
  readonly node?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A sidecar or gateway, and whom it stands for. */
export interface Proxy {
  readonly workload: WorkloadId
  readonly admin: number
  /** Key, certificate and last configuration. */
  readonly stateDirectory: string
  /** The process of now. */
  readonly program: Program
  /** Starts it, and waits until it is ready. */
  start(how?: HowToStart): Promise<void>
  /** What its admin port says: `/metrics`, `/readyz`, and by the token the rest. */
  ask(path: string): Promise<{ readonly status: number; readonly text: string }>
  /** A gauge or counter of its metrics; 0 where there is none. */
  metric(name: string): Promise<number>
}

/** A gateway's pod. */
export interface GatewayPod extends Proxy {
  /** Where clients dial it. */
  readonly port: number
}

/** A replica of a service. Who plays the application listens on `appPort`. */
export interface Pod extends Proxy {
  readonly service: string
  readonly name: string
  readonly appPort: number
  /** Where its sidecar listens for others. */
  readonly inboundPort: number
  /** Says that it is an endpoint of its Service, or not. */
  setReady(isReady: boolean): Promise<void>
}

export interface MeshOptions {
  /** By name; how many pods each has at first. */
  readonly services: Readonly<Record<string, number>>
  /** Rules of the HTTPRoute by path prefix; without one, everything goes to the first service. */
  readonly routes?: readonly { readonly path: string; readonly service: string; readonly rule?: object }[]
  readonly resources?: readonly object[]
  /** Milliseconds. Default: a day. */
  readonly leafLifetimeMs?: number
  readonly operator?: HowToStart
  readonly gateway?: HowToStart
  /** Where what the programs print goes. Default: where everything else is. */
  readonly logs?: string
}

/** A real operator, gateway and sidecars on this machine, one process each. */
export interface Mesh {
  readonly operator: Program
  readonly gateway: GatewayPod
  readonly pods: readonly Pod[]
  /** Makes a resource so, in place of the one that was saved by that name. */
  save(name: string, resource: object): Promise<void>
  /** What the operator says on its admin port. */
  askOperator(path: string): Promise<string>
  addGateway(how?: HowToStart): Promise<GatewayPod>
  /** Not started and not ready yet. */
  addPod(service: string): Promise<Pod>
  close(): Promise<void>
}

export const NAMESPACE = 'faults'
const CONTAINER_PORT = 8080
const OPERATOR_ID = 'spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator'
const READY_MS = 30_000

export async function openMesh({ directory, bundle }: FaultTools, options: MeshOptions): Promise<Mesh> {
  const state = join(directory, 'state')
  const files = join(directory, 'files')
  for (const made of [state, files]) await mkdir(made, { recursive: true, mode: 0o700 })
  const programs: Program[] = []
  const node = (how: HowToStart, command: string, optionsFile: string, name: string): Program => {
    const program = startProgram(
      [
        ...(how.before ?? []),
        process.execPath,
        ...(how.node ?? []),
        join(bundle, 'hauberk.mjs'),
        command,
        '--options',
        optionsFile,
      ],
      { logFile: join(options.logs ?? directory, `${name}.log`), env: { NODE_ENV: 'production', ...how.env } },
    )
    programs.push(program)
    return program
  }
  const save: Mesh['save'] = async (name, resource) => {
    await writeFile(join(files, `${name}.json.new`), JSON.stringify(resource))
    await rename(join(files, `${name}.json.new`), join(files, `${name}.json`))
  }

  const gatewayListenerPort = await freePort()
  const firstService = Object.keys(options.services)[0] ?? ''
  const resources: readonly (readonly [string, object])[] = [
    ['mesh', object('hauberk.dev/v1alpha1', 'MeshConfig', 'default', {}, false)],
    [
      'class',
      object(
        'gateway.networking.k8s.io/v1',
        'GatewayClass',
        'hauberk',
        { controllerName: 'hauberk.dev/gateway-controller' },
        false,
      ),
    ],
    [
      'gateway',
      object('gateway.networking.k8s.io/v1', 'Gateway', 'door', {
        gatewayClassName: 'hauberk',
        listeners: [{ name: 'http', protocol: 'HTTP', port: gatewayListenerPort }],
      }),
    ],
    [
      'route',
      object('gateway.networking.k8s.io/v1', 'HTTPRoute', 'all', {
        parentRefs: [{ name: 'door' }],
        rules: (options.routes ?? [{ path: '/', service: firstService }]).map(({ path, service, rule }) => ({
          matches: [{ path: { type: 'PathPrefix', value: path } }],
          backendRefs: [{ name: service, port: 80 }],
          ...rule,
        })),
      }),
    ],
    ...Object.keys(options.services).flatMap((name): readonly (readonly [string, object])[] => [
      [`${name}-deployment`, deploymentOf(name)],
      [`${name}-service`, serviceOf(name)],
      [`${name}-policy`, policyOf(name)],
    ]),
  ]
  for (const [name, resource] of resources) await save(name, resource)
  for (const [index, resource] of (options.resources ?? []).entries()) await save(`more-${index}`, resource)

  const operatorPort = await freePort()
  const operatorAdmin = await freePort()
  const operatorToken = randomBytes(32).toString('base64url')
  await writeFile(join(directory, 'operator-token'), operatorToken, { mode: 0o600 })
  const operatorOptions = join(directory, 'operator.json')
  await writeFile(
    operatorOptions,
    JSON.stringify({
      files: [files],
      stateDirectory: state,
      trustAnchorsFile: join(directory, 'ca.crt'),
      listen: { host: '127.0.0.1', port: operatorPort },
      admin: { port: operatorAdmin, tokenFile: join(directory, 'operator-token') },
      ...(options.leafLifetimeMs === undefined ? {} : { leafLifetimeMs: options.leafLifetimeMs }),
      logLevel: 'info',
    }),
    { mode: 0o600 },
  )
  const operator = node(options.operator ?? {}, 'operator', operatorOptions, 'operator')
  await until('the operator is ready', () => isReady(operatorAdmin, operator), READY_MS)

  const tokens = createJoinTokens(join(state, 'join'), systemClock)
  const proxyOf = async (
    name: string,
    workload: WorkloadId,
    spiffeId: SpiffeId,
    placement: Partial<SidecarOptions['placement']>,
  ): Promise<Proxy> => {
    const own = join(directory, name)
    await mkdir(own, { recursive: true, mode: 0o700 })
    const admin = await freePort()
    const token = randomBytes(32).toString('base64url')
    await writeFile(join(own, 'admin-token'), token, { mode: 0o600 })
    const optionsFile = join(own, 'options.json')
    const stateDirectory = join(own, 'state')
    const written: SidecarOptions = {
      workload,
      pod: `${workload.split('/')[0]}/${name}`,
      spiffeId,
      operator: { host: '127.0.0.1', port: operatorPort, spiffeId: OPERATOR_ID as SpiffeId },
      trustAnchorsFile: join(directory, 'ca.crt'),
      joinTokenFile: join(own, 'join-token'),
      stateDirectory,
      admin: { port: admin, tokenFile: join(own, 'admin-token') },
      placement: { inbound: [], gateway: [], tcp: [], ...placement },
      logLevel: 'info',
      decisionLog: 'denied',
      drainMs: 5_000,
    }
    await writeFile(optionsFile, JSON.stringify(written), { mode: 0o600 })
    let program: Program | undefined
    return {
      workload,
      admin,
      stateDirectory,
      get program() {
        if (program === undefined) throw new Error(`${name} was not started`)
        return program
      },
      async start(how = {}) {
        await writeFile(join(own, 'join-token'), await tokens.mint({ workload, spiffeId }), { mode: 0o600 })
        const started = node(how, 'sidecar', optionsFile, name)
        program = started
        await until(`${name} is ready`, () => isReady(admin, started), READY_MS)
      },
      ask: (path) => ask(admin, path, token),
      async metric(metric) {
        const { text } = await ask(admin, '/metrics')
        return Number(new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
      },
    }
  }

  let gateways = 0
  const account = gatewayServiceAccount(NAMESPACE, 'door')
  const addGateway: Mesh['addGateway'] = async (how) => {
    const port = await freePort()
    const proxy = await proxyOf(
      `door-${gateways++}`,
      `hauberk-system/${account}` as WorkloadId,
      idOf('hauberk-system', account),
      { gateway: [{ listener: 'http', bind: { host: '127.0.0.1', port }, visiblePort: port }] },
    )
    await proxy.start(how)
    return extend(proxy, { port })
  }

  const replicas = new Map<string, number>()
  const addPod: Mesh['addPod'] = async (service) => {
    const index = replicas.get(service) ?? 0
    replicas.set(service, index + 1)
    const name = `${service}-${index}`
    const appPort = await freePort()
    const inboundPort = await freePort()
    const proxy = await proxyOf(name, `${NAMESPACE}/${service}` as WorkloadId, idOf(NAMESPACE, service), {
      inbound: [
        {
          containerPort: CONTAINER_PORT,
          bind: { host: '127.0.0.1', port: inboundPort },
          app: { host: '127.0.0.1', port: appPort },
        },
      ],
    })
    return extend(proxy, {
      service,
      name,
      appPort,
      inboundPort,
      setReady: (isUp: boolean) => save(`pod-${name}`, podOf(service, name, inboundPort, isUp)),
    })
  }

  const close = async () => {
    await Promise.all(programs.map(async (program) => program.hasEnded() || program.stop()))
  }
  try {
    const gateway = await addGateway(options.gateway)
    const pods: Pod[] = []
    for (const [service, count] of Object.entries(options.services)) {
      for (let i = 0; i < count; i++) pods.push(await addPod(service))
    }
    for (const pod of pods) {
      await pod.setReady(true)
      await pod.start()
    }
    for (const service of new Set((options.routes ?? [{ service: firstService }]).map((route) => route.service))) {
      await untilEndpoints(gateway, service, options.services[service] ?? 0)
    }
    return {
      operator,
      gateway,
      pods,
      save,
      askOperator: async (path) => (await ask(operatorAdmin, path, operatorToken)).text,
      addGateway,
      addPod,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Waits until the gateway knows that the service has that many endpoints. */
export async function untilEndpoints(gateway: Proxy, service: string, count: number): Promise<void> {
  await until(`the gateway knows ${count} endpoints of ${service}`, async () => {
    const { text } = await gateway.ask('/endpoints')
    const { endpoints = {} } = JSON.parse(text === '' ? '{}' : text) as { endpoints?: Record<string, unknown[]> }
    return (endpoints[`${NAMESPACE}/${service}:80`]?.length ?? 0) === count
  })
}

/** The certificate that a proxy shows, as somebody has it who may read its files. */
export async function identityOf({ stateDirectory }: Proxy): Promise<{
  readonly privateKey: string
  readonly chain: string
  readonly trustBundle: readonly string[]
}> {
  return JSON.parse(await readFile(join(stateDirectory, 'identity', 'identity.json'), 'utf8'))
}

/** What was added to it is beside what reads anew each time. */
function extend<T extends object, U extends object>(base: T, more: U): T & U {
  return Object.defineProperties(base, Object.getOwnPropertyDescriptors(more)) as T & U
}

function object(apiVersion: string, kind: string, name: string, spec: object, isNamespaced = true): object {
  return { apiVersion, kind, metadata: isNamespaced ? { namespace: NAMESPACE, name } : { name }, spec }
}

function deploymentOf(name: string): object {
  return object('apps/v1', 'Deployment', name, {
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        serviceAccountName: name,
        containers: [{ name: 'app', ports: [{ name: 'http', containerPort: CONTAINER_PORT }] }],
      },
    },
  })
}

/** Whoever comes through the gateway may do anything. */
function policyOf(name: string): object {
  return object('hauberk.dev/v1alpha1', 'SecurityPolicy', name, {
    targetRefs: [{ kind: 'Service', name }],
    authorization: {
      allow: [
        { name: 'gateway', from: { serviceAccounts: [`hauberk-system/${gatewayServiceAccount(NAMESPACE, 'door')}`] } },
      ],
    },
  })
}

function serviceOf(name: string): object {
  return object('v1', 'Service', name, {
    selector: { app: name },
    ports: [{ name: 'http', appProtocol: 'http', port: 80, targetPort: CONTAINER_PORT }],
  })
}

function podOf(service: string, name: string, inboundPort: number, isReady: boolean): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: NAMESPACE,
      labels: { app: service },
      annotations: { [LOCAL_PORTS_ANNOTATION]: JSON.stringify({ [CONTAINER_PORT]: inboundPort }) },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: service }],
    },
    spec: {
      serviceAccountName: service,
      containers: [{ name: 'app', ports: [{ name: 'http', containerPort: CONTAINER_PORT }] }],
    },
    status: {
      phase: 'Running',
      podIP: '127.0.0.1',
      conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
    },
  }
}

function idOf(namespace: string, serviceAccount: string): SpiffeId {
  const id = parseSpiffeId(`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`)
  if (!id.ok) throw new Error(`${serviceAccount} makes no SPIFFE ID`)
  return id.value
}

async function isReady(admin: number, program: Program): Promise<boolean> {
  if (program.hasEnded()) throw new Error(`ended with ${await program.ended}: see ${program.logFile}`)
  return (await ask(admin, '/readyz')).status === 200
}

/** Status 0: nobody answered. */
function ask(port: number, path: string, token?: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const asking = request({ host: '127.0.0.1', port, path, headers, agent: false, timeout: 5_000 })
    asking.on('timeout', () => asking.destroy())
    asking.on('error', () => resolve({ status: 0, text: '' }))
    asking.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', () => resolve({ status: 0, text: '' }))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asking.end()
  })
}
