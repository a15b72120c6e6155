import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { parseDecision } from '../../cli/dev/decision.ts'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { describeIssue } from '../../model/result.ts'
import { openTestCa } from '../../model/x509/testing/test-ca.ts'
import type { StatusReport } from '../../operator/status/report.ts'
import type { SidecarOptions } from '../../sidecar/options.ts'
import { jsonOf } from '../world/answer.ts'
import { createDecisionBook } from '../world/decisions.ts'
import { type GatewayAddress, openGateway } from '../world/gateway.ts'
import { type Load, startLoad } from '../world/load.ts'
import { clientCredentials, type Login, login } from '../world/login.ts'
import { parseMetrics } from '../world/metrics.ts'
import { findOrigin } from '../world/origin.ts'
import { shopLoad } from '../world/shop-load.ts'
import { until } from '../world/until.ts'
import { createVault } from '../world/vault.ts'
import { sayInPlain, sayWithCertificate } from '../world/wire.ts'
import type { Explained, Person, World } from '../world/world.ts'
import { askAdmin } from './admin.ts'
import { insideOf } from './inside.ts'
import { followLogs } from './log-tail.ts'
import type { MeshState } from './mesh-state.ts'
import type { ShopCopy } from './shop-copy.ts'
import { keepStateSecrets } from './state-secrets.ts'

/** The parts of a world that only a mesh of one's own has. */
export interface OwnParts {
  readonly shop: ShopCopy
  readonly leafLifetimeMs: number
  readonly soakMs: number
  /** Ends a process of the mesh by SIGKILL. */
  kill(name: string): Promise<void>
}

export interface LocalWorld extends World {
  readonly state: MeshState
  close(): Promise<void>
}

/** A login is used for this long, of the five minutes that its token lives. */
const LOGIN_MS = 200_000

const ROTATE_KEYS = resolve(import.meta.dirname, '../../samples/shop/apps/service/rotate-keys.ts')

const exec = promisify(execFile)

/** A world on this machine. Without `own`, what only a mesh of one's own has throws. */
export async function openLocalWorld(state: MeshState, own?: OwnParts): Promise<LocalWorld> {
  const gateway = openGateway(gatewayOf(state))
  const decisions = createDecisionBook()
  const vault = createVault()
  await keepStateSecrets(state, vault)
  const logs = followLogs(
    join(state.directory, 'logs'),
    (line) => {
      const decision = parseDecision(line)
      if (decision !== undefined) decisions.add(decision)
    },
    { fromStart: own !== undefined },
  )
  const logins = new Map<Person, { readonly login: Promise<Login>; readonly untilMs: number }>()
  let load: Promise<Load> | undefined

  const sidecarOf = (workload: string): SidecarOptions => {
    const found = state.sidecars.get(workload)
    assert.ok(found, `there is no sidecar of ${workload}`)
    return found
  }
  const inboundOf = (workload: string, containerPort: number) => {
    const place = sidecarOf(workload).placement.inbound.find((one) => one.containerPort === containerPort)
    assert.ok(place, `${workload} has no port ${containerPort}`)
    return place.bind
  }
  const secretFile = (...path: readonly string[]) => join(state.directory, 'secrets', ...path)
  const secret = async (...path: readonly string[]) => (await readFile(secretFile(...path), 'utf8')).trim()
  const status = async () => JSON.parse(await askAdmin(state.operator.admin, '/status')) as StatusReport
  const ownParts = (): OwnParts => {
    assert.ok(own, 'this is done to a mesh of one’s own only')
    return own
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
  const rotate = async (...args: readonly string[]) => {
    const [verb = '', ...rest] = args
    const file = secretFile('identity', 'auth-keys', 'jwks.json')
    const { stdout } = await exec(process.execPath, [ROTATE_KEYS, verb, file, ...rest])
    await keepStateSecrets(state, vault)
    return stdout
  }

  return {
    state,
    gateway,
    decisions,
    vault,
    leafLifetimeMs: own?.leafLifetimeMs,
    soakMs: own?.soakMs ?? 0,
    patience: 1,
    secret: (namespace, name, key) => secret(namespace, name, key),
    login: loginOf,
    machineToken: async (scope) => clientCredentials(gateway, vault, { ...(await machineClient()), scope }),
    workloads: () => [...state.sidecars.keys()].sort(),
    neighbour: {
      sayInPlain: (workload, containerPort, bytes) => sayInPlain(inboundOf(workload, containerPort), bytes),
      sayWithCertificate: (workload, containerPort, shown, bytes) =>
        sayWithCertificate(inboundOf(workload, containerPort), shown, MESH_ALPN.http, bytes),
    },
    inside: (workload) => insideOf(sidecarOf(workload)),
    doorsOf(workload) {
      const { proxy, tcp } = sidecarOf(workload).placement
      return proxy && { proxy: proxy.bind, tcp: new Map(tcp.map(({ upstream, bind }) => [upstream, bind])) }
    },
    outside: { url: 'http://example.com/', denial: 'outbound-unknown-host' },
    async certificate({ uris, notBeforeMs, notAfterMs }) {
      const [chain, key] = await issuingCa(state)
      const ca = await openTestCa(chain, key)
      const leaf = await ca.issue({
        uris,
        ...(notBeforeMs !== undefined && { notBeforeMs }),
        ...(notAfterMs !== undefined && { notAfterMs }),
      })
      vault.keep('key of a certificate', leaf.privateKey)
      return { chain: leaf.chain + chain, privateKey: leaf.privateKey }
    },
    metrics: async (workload) => parseMetrics(await askAdmin(sidecarOf(workload).admin, '/metrics')),
    async explain({ workload, id }) {
      const text = await askAdmin(sidecarOf(workload).admin, `/decision?id=${encodeURIComponent(id)}`)
      return JSON.parse(text) as Explained
    },
    async originOf(workload, rule) {
      const config: unknown = JSON.parse(await askAdmin(sidecarOf(workload).admin, '/config'))
      const origin = findOrigin(config, rule)
      assert.ok(origin, `no rule ${rule} in the config of ${workload}`)
      return origin
    },
    async issuerKeys(issuer) {
      return (await status()).issuers.find(({ name }) => name === issuer)?.keys ?? 0
    },
    manifests: {
      mistakesAreAt: 'line',
      save: (name, yaml) => ownParts().shop.save(name, yaml),
      remove: (name) => ownParts().shop.remove(name),
      refusal: (name) =>
        until(`${name}.yaml is refused`, async () => {
          const { shop } = ownParts()
          const path = shop.pathOf(name)
          const found = (await status()).fileIssues.find(({ location }) => location?.file === path)
          return found && describeIssue(found).replaceAll(path, `${name}.yaml`)
        }),
      async isTaken(name) {
        const path = ownParts().shop.pathOf(name)
        await until(`${name}.yaml is taken`, async () =>
          (await status()).fileIssues.every(({ location }) => location?.file !== path),
        )
      },
    },
    signingKeys: {
      async publish() {
        const added = /^(\S+) published$/m.exec(await rotate('publish'))?.[1]
        assert.ok(added, 'a key was published')
        return added
      },
      async activate(kid) {
        await rotate('activate', kid)
      },
    },
    processes: {
      killOperator: () => ownParts().kill('operator'),
      async operatorIsBack() {
        await until('an operator serves', () => status().catch(() => undefined))
      },
      killSidecar: (workload) => ownParts().kill(`sidecar ${workload}`),
    },
    load() {
      load ??= startShopLoad()
      return load
    },
    async close() {
      await (await load?.catch(() => undefined))?.stop()
      gateway.close()
      await logs.stop()
    },
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

function gatewayOf({ ca, sidecars }: MeshState): GatewayAddress {
  const places = [...sidecars.values()].flatMap(({ placement }) => placement.gateway)
  const portOf = (listener: string) => {
    const place = places.find((one) => one.listener === listener)
    assert.ok(place, `the gateway has no listener ${listener}`)
    return place.visiblePort ?? place.bind.port
  }
  return {
    hostname: 'shop.localhost',
    address: '127.0.0.1',
    httpsPort: portOf('https'),
    httpPort: portOf('http'),
    ca,
  }
}

/** The CA that signs at the moment: certificate and key. */
async function issuingCa({ operator }: MeshState): Promise<readonly [certificate: string, privateKey: string]> {
  const directory = join(operator.stateDirectory, 'ca')
  const numberOf = (name: string) => Number(/^issuing-.*-([0-9]+)\.pem$/.exec(name)?.[1] ?? 0)
  const newest = (await readdir(directory)).sort((a, b) => numberOf(b) - numberOf(a))[0] ?? ''
  const entry = await readFile(join(directory, newest), 'utf8')
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/.exec(entry) ?? []
  const [certificate] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/.exec(entry) ?? []
  assert.ok(key && certificate, `${newest} holds a CA`)
  return [certificate, key]
}
