import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { parseDocument } from 'yaml'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { openTestCa } from '../../model/x509/testing/test-ca.ts'
import type { StatusReport } from '../../operator/status/report.ts'
import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { type Answer, jsonOf } from '../world/answer.ts'
import { createDecisionBook } from '../world/decisions.ts'
import { type GatewayAddress, openGateway } from '../world/gateway.ts'
import { type Load, startLoad } from '../world/load.ts'
import { clientCredentials, type Login, login } from '../world/login.ts'
import { parseMetrics } from '../world/metrics.ts'
import { findOrigin } from '../world/origin.ts'
import { shopLoad } from '../world/shop-load.ts'
import { until } from '../world/until.ts'
import { createVault } from '../world/vault.ts'
import type { Explained, Person, World } from '../world/world.ts'
import { type DecisionLogs, followDecisions, proxyContainer } from './decision-logs.ts'
import { killContainer } from './kill-container.ts'
import { type ClusterObject, type Kubectl, KubectlError } from './kubectl.ts'
import { sayFrom } from './say.ts'
import { scriptOf } from './script.ts'

/** A cluster that runs the shop, as the scenarios see it, and what only scenarios of a cluster ask for. */
export interface ClusterWorld extends World {
  readonly kubectl: Kubectl
  /** The newest ready pod of a workload. */
  podOf(workload: string): Promise<ClusterObject>
  /** What an admin route of a workload's sidecar answers. */
  askSidecar(workload: string, path: string): Promise<string>
  /** What the leading operator knows of the mesh. */
  status(): Promise<StatusReport>
  /** Says something from a pod that is in no mesh. `host` is an IP literal. */
  sayFromOutside(request: Parameters<typeof sayFrom>[2]): ReturnType<typeof sayFrom>
  /** Makes a namespace for one scenario, and takes it away at the end of the run. */
  namespace(name: string, options?: { readonly inject?: boolean }): Promise<string>
  /** Those that scenarios made. */
  ownNamespaces(): readonly string[]
  /** Takes away what scenarios made so far. */
  cleanUp(): Promise<void>
  close(): Promise<void>
}

const OPERATOR = 'hauberk-operator'

/** Milliseconds that a scenario waits for what it saves to be taken or refused before it goes on. */
const TRIED_WITHIN_MS = 1_000

interface SavedManifest {
  /** The SecurityPolicy of the shop that it is. */
  readonly policy: string
  refusal: string | undefined
  /** It was taken or refused. */
  isTried: boolean
  readonly stop: AbortController
  saving: Promise<void>
}

const exec = promisify(execFile)

/** A login is used for this long, of the five minutes that its token lives. */
const LOGIN_MS = 200_000

const ROTATE_KEYS = resolve(import.meta.dirname, '../../samples/shop/apps/service/rotate-keys.ts')
const ECHO = resolve(import.meta.dirname, '../manifests/echo.yaml')

/** Where the pod lives from which the mesh is tried from outside. */
const OUTSIDE = 'hauberk-e2e-outside'
const NEIGHBOUR = { namespace: OUTSIDE, pod: 'neighbour' } as const

/** The shop's namespaces, and the one of gateways and operator. */
const MESHED = ['shop', 'identity'] as const

export async function openClusterWorld(kubectl: Kubectl): Promise<ClusterWorld> {
  await kubectl.apply(neighbourManifest())
  await kubectl.apply(await echoManifest())
  await kubectl.run(['wait', '-n', OUTSIDE, '--for=condition=Ready', 'pod/neighbour', '--timeout=120s'], WAITING)
  await kubectl.run(['rollout', 'status', '-n', 'shop', 'deploy/echo', '--timeout=120s'], WAITING)

  const gateway = openGateway(await gatewayAddress(kubectl))
  const decisions = createDecisionBook()
  const vault = createVault()
  const own: string[] = []
  const logs: DecisionLogs = await followDecisions(kubectl, decisions, () => [...MESHED, SYSTEM_NAMESPACE, ...own])
  const logins = new Map<Person, { readonly login: Promise<Login>; readonly untilMs: number }>()
  const saved = new Map<string, SavedManifest>()
  let load: Promise<Load> | undefined
  let workloads: readonly string[] = []

  const podOf = async (workload: string): Promise<ClusterObject> => {
    const [namespace = '', name = ''] = workload.split('/')
    const selector = namespace === SYSTEM_NAMESPACE ? `app.kubernetes.io/instance=${name}` : `app=${name}`
    const pods = await kubectl.list(['pods', '-n', namespace, '-l', selector])
    const alive = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    const [newest] = alive.sort((a, b) =>
      (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? ''),
    )
    assert.ok(newest, `${workload} has no pod`)
    return newest
  }
  const sidecarOf = async (workload: string) => {
    const { metadata } = await podOf(workload)
    const container = proxyContainer(metadata.namespace ?? '')
    return { namespace: metadata.namespace ?? '', pod: metadata.name, container }
  }
  const appOf = async (workload: string) => {
    const { metadata, spec } = await podOf(workload)
    return { namespace: metadata.namespace ?? '', pod: metadata.name, container: spec.containers[0].name as string }
  }
  const askSidecar = async (workload: string, path: string) =>
    kubectl.exec(await sidecarOf(workload), ['node', '/app/hauberk-sidecar.mjs', 'ask', path])
  const secret = async (namespace: string, name: string, key: string) => {
    const { data } = await kubectl.get(['secret', '-n', namespace, name])
    const value = data?.[key]
    assert.ok(value, `Secret ${namespace}/${name} has ${key}`)
    const text = Buffer.from(value, 'base64').toString('utf8').trim()
    vault.keep(`${namespace}/${name}/${key}`, text)
    return text
  }
  /** Of the operator that leads: one that was killed holds its Lease for some seconds more. */
  const status = async (): Promise<StatusReport> => {
    const said = await until(
      'the operator that leads says its status',
      async () => {
        const { spec } = await kubectl.get(['lease', '-n', SYSTEM_NAMESPACE, 'hauberk-operator'])
        const leader = String(spec?.holderIdentity ?? '').split(/[_ /]/)[0] ?? ''
        if (leader === '') return undefined
        const at = { namespace: SYSTEM_NAMESPACE, pod: leader }
        try {
          return await kubectl.exec(at, ['node', '/app/hauberk-operator.mjs', 'ask', '/status'])
        } catch (error) {
          if (error instanceof KubectlError && /NotFound|not found|container/i.test(error.stderr)) return undefined
          throw error
        }
      },
      { withinMs: 60_000 },
    )
    return JSON.parse(said) as StatusReport
  }
  const loginOf = (person: Person): Promise<Login> => {
    const known = logins.get(person)
    if (known !== undefined && known.untilMs > Date.now()) return known.login
    const made = secret('identity', 'auth-users', `password-${person}`).then((password) =>
      login(gateway, vault, person, password),
    )
    logins.set(person, { login: made, untilMs: Date.now() + LOGIN_MS })
    return made
  }
  const machineClient = async () => ({
    client: 'warehouse',
    secret: await secret('identity', 'auth-clients', 'warehouse'),
  })
  const podAddress = async (workload: string) => String((await podOf(workload)).status?.podIP)

  workloads = (await Promise.all(MESHED.map((namespace) => kubectl.list(['deployments', '-n', namespace]))))
    .flat()
    .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  workloads = [...workloads, `${SYSTEM_NAMESPACE}/gateway-shop-shop`].sort()

  /** The shop's floor lets only its own namespaces call anybody: for the tests it knows one more. */
  const admit = async (name: string) => {
    const { spec } = await kubectl.get(['meshsecuritypolicies.hauberk.dev', 'baseline'])
    const known = spec.floor.authorization.onlyFrom.namespaces as readonly string[]
    if (known.includes(name)) return
    const path = '/spec/floor/authorization/onlyFrom/namespaces/-'
    const patch = JSON.stringify([{ op: 'add', path, value: name }])
    await kubectl.run(['patch', 'meshsecuritypolicies.hauberk.dev', 'baseline', '--type=json', '-p', patch])
  }

  /** Ends what is still tried of it: an apply under way would bring back what is deleted after it was sent. */
  const settle = async (name: string) => {
    const entry = saved.get(name)
    entry?.stop.abort()
    await entry?.saving
  }
  let replicas: number | undefined
  /** Nobody takes their place, however fast a cluster is, until they are called back. */
  const killOperators = async () => {
    const pods = ['-n', SYSTEM_NAMESPACE, '-l', 'app.kubernetes.io/name=hauberk-operator']
    const { spec } = await kubectl.get(['deployment', '-n', SYSTEM_NAMESPACE, OPERATOR])
    replicas = Number(spec?.replicas)
    await kubectl.run(['delete', 'pods', ...pods, '--grace-period=0', '--force'], WAITING)
    await kubectl.run(['scale', '-n', SYSTEM_NAMESPACE, `deployment/${OPERATOR}`, '--replicas=0'])
    await until('no operator is there', async () => (await kubectl.list(['pods', ...pods])).length === 0, {
      withinMs: 60_000,
    })
  }
  const returnOperators = async () => {
    if (replicas === undefined) return
    const deployment = `deployment/${OPERATOR}`
    await kubectl.run(['scale', '-n', SYSTEM_NAMESPACE, deployment, `--replicas=${replicas}`])
    await kubectl.run(['rollout', 'status', '-n', SYSTEM_NAMESPACE, deployment, '--timeout=120s'], WAITING)
    replicas = undefined
  }
  const cleanUp = async () => {
    await returnOperators()
    const names = own.splice(0)
    if (names.length === 0) return
    await kubectl.run(['delete', 'namespace', ...names, '--ignore-not-found', '--wait=false'])
  }

  /** Applies until it is taken or refused: nobody judges while no operator answers. */
  const save = async (yaml: string, signal: AbortSignal): Promise<string | undefined> => {
    for (;;) {
      try {
        await kubectl.apply(yaml, ['--field-manager=e2e'])
        return undefined
      } catch (error) {
        if (!(error instanceof KubectlError)) throw error
        if (!/failed calling webhook/.test(error.stderr) || signal.aborted) return error.stderr.trim()
      }
    }
  }

  return {
    kubectl,
    podOf,
    askSidecar,
    status,
    sayFromOutside: (request) => sayFrom(kubectl, NEIGHBOUR, request),
    async namespace(name, { inject = true } = {}) {
      const labels = inject ? '\n  labels: {hauberk.dev/inject: enabled}' : ''
      await kubectl.apply(`apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}${labels}\n`)
      if (!own.includes(name)) own.push(name)
      if (inject) await admit(name)
      return name
    },
    ownNamespaces: () => own,
    gateway,
    decisions,
    vault,
    leafLifetimeMs: undefined,
    soakMs: 0,
    patience: 6,
    secret,
    login: loginOf,
    machineToken: async (scope) => clientCredentials(gateway, vault, { ...(await machineClient()), scope }),
    workloads: () => workloads,
    neighbour: {
      async sayInPlain(workload, port, bytes) {
        return sayFrom(kubectl, NEIGHBOUR, { host: await podAddress(workload), port, bytes })
      },
      async sayWithCertificate(workload, port, shown, bytes) {
        const mutualTls = { ...(shown !== undefined && { shown }), alpn: MESH_ALPN.http }
        return sayFrom(kubectl, NEIGHBOUR, { host: await podAddress(workload), port, bytes, mutualTls })
      },
    },
    inside: (workload) => ({
      async ask(asked) {
        const command = ['node', '--input-type=module', '--eval', await scriptOf('call')]
        return JSON.parse(
          await kubectl.exec(await appOf(workload), command, { input: JSON.stringify(asked) }),
        ) as Answer
      },
      dial: async (host, port, bytes, patienceMs) =>
        sayFrom(kubectl, await appOf(workload), { host, port, bytes, ...(patienceMs !== undefined && { patienceMs }) }),
    }),
    doorsOf: () => undefined,
    // An address that nobody has (RFC 5737): in a pod the address that is dialled counts, and a name need not lead anywhere.
    outside: { url: 'http://192.0.2.1/', denial: 'outbound-unknown-address' },
    async certificate({ uris, notBeforeMs, notAfterMs }) {
      const [chain, key] = await issuingCa(kubectl)
      const ca = await openTestCa(chain, key)
      const leaf = await ca.issue({
        uris,
        ...(notBeforeMs !== undefined && { notBeforeMs }),
        ...(notAfterMs !== undefined && { notAfterMs }),
      })
      vault.keep('key of a certificate', leaf.privateKey)
      return { chain: leaf.chain + chain, privateKey: leaf.privateKey }
    },
    metrics: async (workload) => parseMetrics(await askSidecar(workload, '/metrics')),
    explain: async ({ workload, id }) =>
      JSON.parse(await askSidecar(workload, `/decision?id=${encodeURIComponent(id)}`)) as Explained,
    async originOf(workload, rule) {
      const origin = findOrigin(JSON.parse(await askSidecar(workload, '/config')), rule)
      assert.ok(origin, `no rule ${rule} in the config of ${workload}`)
      return origin
    },
    async issuerKeys(issuer) {
      return (await status()).issuers.find(({ name }) => name === issuer)?.keys ?? 0
    },
    manifests: {
      mistakesAreAt: 'path',
      async save(name, yaml) {
        await settle(name)
        const stop = new AbortController()
        const policy = String(parseDocument(yaml).getIn(['metadata', 'name']))
        const entry: SavedManifest = { policy, refusal: undefined, isTried: false, stop, saving: Promise.resolve() }
        saved.set(name, entry)
        entry.saving = save(yaml, stop.signal).then((refusal) => {
          entry.refusal = refusal
          entry.isTried = true
        })
        // While no operator answers, it is tried on in the background, as somebody would who waits for it.
        const aWhile = new Promise((resolve) => setTimeout(resolve, TRIED_WITHIN_MS).unref())
        await Promise.race([entry.saving, aWhile])
      },
      async remove(name) {
        await settle(name)
        const policy = saved.get(name)?.policy
        if (policy === undefined) return
        await kubectl.run(['delete', '--ignore-not-found', '-n', 'shop', `securitypolicies.hauberk.dev/${policy}`])
        saved.delete(name)
      },
      refusal: (name) => until(`${name} is refused`, () => saved.get(name)?.refusal, { withinMs: 30_000 }),
      isTaken: (name) =>
        until(`${name} is taken`, () => saved.get(name)?.isTried && saved.get(name)?.refusal === undefined, {
          withinMs: 30_000,
        }).then(() => {}),
    },
    signingKeys: {
      publish: async () => {
        const out = await rotateKeys(['publish'])
        const added = /^(\S+) published$/m.exec(out)?.[1]
        assert.ok(added, 'a key was published')
        return added
      },
      activate: async (kid) => void (await rotateKeys(['activate', kid])),
    },
    processes: {
      killOperator: killOperators,
      operatorIsBack: returnOperators,
      async killSidecar(workload) {
        const pod = await podOf(workload)
        await killContainer(pod, proxyContainer(pod.metadata.namespace ?? ''))
      },
    },
    load() {
      load ??= startShopLoad()
      return load
    },
    cleanUp,
    async close() {
      await (await load?.catch(() => undefined))?.stop()
      logs.stop()
      gateway.close()
      await cleanUp()
    },
  }

  /** The file that auth reads is the Secret's; the kubelet brings a change to the pod within a minute or so. */
  async function rotateKeys(args: readonly string[]): Promise<string> {
    const directory = await mkdtemp(`${tmpdir()}/hauberk-e2e-keys-`)
    try {
      const file = `${directory}/jwks.json`
      await writeFile(file, await secret('identity', 'auth-keys', 'jwks.json'), { mode: 0o600 })
      const [verb = '', ...rest] = args
      const { stdout } = await exec(process.execPath, [ROTATE_KEYS, verb, file, ...rest])
      const value = (await readFile(file)).toString('base64')
      const patch = JSON.stringify({ data: { 'jwks.json': value } })
      await kubectl.run(['patch', 'secret', '-n', 'identity', 'auth-keys', '--type=merge', '-p', patch])
      return stdout
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  async function startShopLoad(): Promise<Load> {
    const { products } = jsonOf(await gateway.ask({ path: '/api/catalog/products' })) as {
      readonly products: readonly { readonly id: string }[]
    }
    const [product] = products
    assert.ok(product, 'the catalog has something to order')
    const { client, secret: clientSecret } = await machineClient()
    const clients = {
      person: 'carol',
      personToken: async () => (await loginOf('carol')).accessToken,
      machineCredential: vault.keep(
        `Basic credential of ${client}`,
        Buffer.from(`${client}:${clientSecret}`).toString('base64'),
      ),
      productId: product.id,
    }
    await clients.personToken()
    return startLoad(shopLoad(clients), (request) => gateway.ask(request))
  }
}

const WAITING = { timeoutMs: 150_000 }

/** By the address of a node and the node ports of the gateway's Service: it works where kind maps no ports, too. */
async function gatewayAddress(kubectl: Kubectl): Promise<GatewayAddress> {
  const service = await until(
    'the gateway’s Service is there',
    () => kubectl.get(['service', '-n', SYSTEM_NAMESPACE, 'gateway-shop-shop']).catch(() => undefined),
    { withinMs: 60_000, everyMs: 500 },
  )
  const [node] = await kubectl.list(['nodes'])
  const addresses = node?.status?.addresses as { readonly type: string; readonly address: string }[]
  const address = addresses.find(({ type }) => type === 'InternalIP')?.address
  const ports = service.spec.ports as { readonly port: number; readonly nodePort?: number }[]
  const nodePort = (port: number) => {
    const found = ports.find((one) => one.port === port)?.nodePort
    assert.ok(found, `the gateway’s Service has a node port for ${port}`)
    return found
  }
  assert.ok(address, 'the node has an address')
  const anchors = await kubectl.get(['configmap', '-n', SYSTEM_NAMESPACE, 'hauberk-trust-anchors'])
  return {
    hostname: 'shop.localhost',
    address,
    httpsPort: nodePort(443),
    httpPort: nodePort(80),
    ca: anchors.data?.['ca.crt'] ?? '',
    // Whatever leads to the node port: the sample says 8443, as kind.yaml does.
    redirectsTo: 'https://shop.localhost:8443',
  }
}

/** The CA that signs at the moment: certificate and key. */
async function issuingCa(kubectl: Kubectl): Promise<readonly [certificate: string, privateKey: string]> {
  const secrets = await kubectl.list(['secrets', '-n', SYSTEM_NAMESPACE])
  const issuing = secrets.filter(({ metadata }) => metadata.name.startsWith('hauberk-ca-issuing-'))
  const [newest] = issuing.sort((a, b) =>
    (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? ''),
  )
  const entry = Object.values(newest?.data ?? {})
    .map((value) => Buffer.from(value, 'base64').toString('utf8'))
    .join('\n')
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/.exec(entry) ?? []
  const [certificate] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/.exec(entry) ?? []
  assert.ok(key && certificate, 'the newest issuing CA is a Secret')
  return [certificate, key]
}

/** The same manifest as on a laptop; its program, which no image has, comes as an argument. */
async function echoManifest(): Promise<string> {
  const manifest = await readFile(ECHO, 'utf8')
  const script = JSON.stringify(await scriptOf('echo'))
  const image = 'image: hauberk-shop:0.1.0'
  assert.ok(manifest.includes(image))
  const program = `${image}
        command: [node, --input-type=module, --eval, ${script}]
        env:
        - {name: HOST, value: "::"}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}`
  return manifest.replace(image, program)
}

function neighbourManifest(): string {
  return `apiVersion: v1
kind: Namespace
metadata:
  name: ${OUTSIDE}
---
apiVersion: v1
kind: Pod
metadata:
  name: neighbour
  namespace: ${OUTSIDE}
  labels: {app: neighbour}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
  - name: node
    image: hauberk-shop:0.1.0
    command: [node, --eval, "setInterval(() => {}, 1e6)"]
`
}
