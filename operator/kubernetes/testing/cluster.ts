import { randomBytes } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { type KubernetesClient, openClient } from '../client.ts'
import { readObject } from '../object.ts'
import { resourcePath } from '../path.ts'

/** A real cluster, by the kubeconfig that kubectl would use, and a namespace of the test's own that goes when it is over. */
export interface TestCluster {
  readonly client: KubernetesClient
  readonly namespace: string
  /** Another client of the same user; closed when the test is over. */
  open(options?: { readonly through?: Proxy }): Promise<KubernetesClient>
  /** A client that is a new ServiceAccount of the namespace, and may do nothing. */
  openAs(serviceAccount: string): Promise<KubernetesClient>
  create(apiVersion: string, plural: string, object: TestObject): Promise<void>
  /** Deletes what is not in the namespace, by its path, when the test is over. */
  deleteAfter(path: string): void
}

export interface TestObject {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

export async function testCluster(t: TestContext): Promise<TestCluster> {
  const clients: KubernetesClient[] = []
  const opened = async (from: Parameters<typeof openClient>[0]['config']) => {
    const client = await openClient({ config: from, userAgent: 'hauberk-test' })
    clients.push(client)
    return client
  }
  const client = await opened({ from: 'default' })
  const namespace = `kube-${randomBytes(4).toString('hex')}`
  await client.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  })
  const paths = [`/api/v1/namespaces/${namespace}`]
  t.after(async () => {
    for (const path of paths) await client.request({ method: 'DELETE', path })
    for (const one of clients) one.close()
  })
  const create: TestCluster['create'] = async (apiVersion, plural, object) => {
    await client.request({
      method: 'POST',
      path: resourcePath({ apiVersion, plural, namespace }),
      body: { apiVersion, ...object, metadata: { ...object.metadata, namespace } },
    })
  }
  return {
    client,
    namespace,
    create,
    deleteAfter: (path) => void paths.push(path),
    async open({ through } = {}) {
      if (through === undefined) return opened({ from: 'default' })
      return opened({ from: 'text', text: await exportedConfig(({ server }) => through.url(server)) })
    },
    async openAs(serviceAccount) {
      await create('v1', 'serviceaccounts', { kind: 'ServiceAccount', metadata: { name: serviceAccount } })
      const { status } = readObject(
        await client.request({
          method: 'POST',
          path: `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
          body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 600 } },
        }),
      ) as unknown as { readonly status: { readonly token: string } }
      return opened({ from: 'text', text: await exportedConfig(({ server }) => server, { token: status.token }) })
    },
  }
}

/** The kubeconfig as text, its server and user replaced. */
async function exportedConfig(
  serverOf: (cluster: { readonly server: string }) => string,
  user?: Readonly<Record<string, unknown>>,
): Promise<string> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  config.loadFromDefault()
  const cluster = config.getCurrentCluster()!
  const exported = JSON.parse(config.exportConfig()) as {
    readonly clusters: readonly { readonly name: string; readonly cluster: Readonly<Record<string, unknown>> }[]
    readonly contexts: readonly { readonly name: string; readonly context: { readonly user: string } }[]
    readonly users: readonly { readonly name: string }[]
  }
  return JSON.stringify({
    ...exported,
    clusters: exported.clusters.map(({ name, cluster: settings }) =>
      name === cluster.name
        ? { name, cluster: { ...settings, server: serverOf(cluster) } }
        : { name, cluster: settings },
    ),
    users: exported.users.map((own) => (user === undefined ? own : { name: own.name, user })),
  })
}

/** A TCP proxy before the API server: for connections that break as connections do. */
export interface Proxy {
  url(server: string): string
  /** Cuts every connection. */
  cut(): void
  /** Keeps connections open and moves no byte over them, new ones neither. */
  freeze(): void
  thaw(): void
  /** Connections that were made so far. */
  opened(): number
}

export async function startProxy(t: TestContext): Promise<Proxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let target = new URL('https://127.0.0.1')
  let isFrozen = false
  let opened = 0
  const server = createServer((near) => {
    opened += 1
    const far = connect(Number(target.port || 443), target.hostname.replace(/^\[|\]$/g, ''))
    const pair = [near, far] as const
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const [from, to] of [pair, [far, near]] as const) {
      from.on('error', end)
      from.on('close', end)
      from.pipe(to)
    }
    if (isFrozen) for (const socket of pair) socket.pause()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const cut = () => {
    for (const [near, far] of pairs) {
      near.destroy()
      far.destroy()
    }
  }
  t.after(() => {
    cut()
    server.close()
  })
  return {
    url(given) {
      target = new URL(given)
      return `https://${target.hostname}:${port}`
    },
    cut,
    freeze() {
      isFrozen = true
      for (const [near, far] of pairs) {
        near.unpipe(far).pause()
        far.unpipe(near).pause()
      }
    },
    thaw() {
      isFrozen = false
      for (const [near, far] of pairs) {
        near.pipe(far)
        far.pipe(near)
      }
    },
    opened: () => opened,
  }
}

/** Waits for a condition for some time, 30 s by default. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
