import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { stringify } from 'yaml'
import { POD_CONTRACT_VERSION, type PodSidecar } from '../../contract/pod.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../model/spiffe-id.ts'
import { parseWorkloadId } from '../../model/workload-id.ts'
import { createJoinTokens } from '../../operator/identity/join-tokens.ts'
import { runOperator } from '../../operator/main.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { PodOptions } from '../../sidecar/pod/options.ts'
import { freePort } from '../../sidecar/serve/testing/backend.ts'
import { until } from '../world/until.ts'

const KEY = 'k'.repeat(43)
const OPERATOR = idOf('hauberk-system', 'hauberk-operator')

function idOf(namespace: string, serviceAccount: string): SpiffeId {
  const id = parseSpiffeId(`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`)
  assert.ok(id.ok)
  return id.value
}

/** Ports that nobody listened on a moment ago, each another one. */
async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort())
  return [...ports]
}

interface Answer {
  readonly status: number | string
  readonly text: string
  readonly connection?: string | undefined
}

function ask(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  agent?: Agent,
): Promise<Answer> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path, headers, agent: agent ?? false, timeout: 30_000 })
    call.on('error', (error: NodeJS.ErrnoException) => resolve({ status: error.code ?? error.message, text: '' }))
    call.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: text.trim(), connection: response.headers.connection })
      })
    })
    call.end()
  })
}

describe('a sidecar as a pod runs it', () => {
  let directory: string
  let listenerPort = 0
  let operatorPort = 0
  let stopOperator: (() => Promise<unknown>) | undefined
  const children = new Set<ChildProcess>()

  const write = (name: string, ...documents: readonly object[]) =>
    writeFile(join(directory, 'mesh', name), documents.map((document) => stringify(document)).join('---\n'))

  const gatewayWith = (...ports: readonly number[]) =>
    write('gateway.yaml', {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { namespace: 'shop', name: 'web' },
      spec: {
        gatewayClassName: 'hauberk',
        listeners: ports.map((port, i) => ({ name: `http-${i}`, protocol: 'HTTP', port })),
      },
    })

  const startOperator = () => {
    const end = new AbortController()
    const ended = runOperator(
      {
        files: [join(directory, 'mesh')],
        stateDirectory: join(directory, 'operator'),
        trustAnchorsFile: join(directory, 'ca.crt'),
        listen: { host: '127.0.0.1', port: operatorPort },
        admin: { port: 0, tokenFile: join(directory, 'operator-token') },
        logLevel: 'silent',
      },
      'test',
      end.signal,
    )
    stopOperator = () => {
      stopOperator = undefined
      end.abort()
      return ended
    }
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hauberk-pod-'))
    await mkdir(join(directory, 'mesh'))
    await writeFile(join(directory, 'operator-token'), 'o'.repeat(43), { mode: 0o600 })
    const [operator = 0, listener = 0] = await freePorts(2)
    operatorPort = operator
    listenerPort = listener
    await write(
      'mesh.yaml',
      { apiVersion: 'hauberk.dev/v1alpha1', kind: 'MeshConfig', metadata: { name: 'default' }, spec: {} },
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'GatewayClass',
        metadata: { name: 'hauberk' },
        spec: { controllerName: 'hauberk.dev/gateway-controller' },
      },
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'HTTPRoute',
        metadata: { namespace: 'shop', name: 'moved' },
        spec: {
          parentRefs: [{ name: 'web' }],
          rules: [
            {
              filters: [
                {
                  type: 'RequestRedirect',
                  requestRedirect: { path: { type: 'ReplaceFullPath', replaceFullPath: '/x' } },
                },
              ],
            },
          ],
        },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { namespace: 'shop', name: 'orders' },
        spec: {
          selector: { matchLabels: { app: 'orders' } },
          template: {
            metadata: { labels: { app: 'orders' } },
            spec: { serviceAccountName: 'orders', containers: [{ name: 'app', ports: [{ containerPort: 8_080 }] }] },
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'shop', name: 'orders' },
        spec: { selector: { app: 'orders' }, ports: [{ name: 'http', port: 80, targetPort: 8_080 }] },
      },
    )
    await gatewayWith(listenerPort)
    startOperator()
  })

  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await stopOperator?.()
    await rm(directory, { recursive: true, force: true })
  })

  /** What one pod is told, with a token that is good for its first certificate. */
  async function podOf(
    namespace: string,
    name: string,
    workload: string,
    role: PodSidecar['role'],
  ): Promise<PodOptions> {
    const spiffeId = idOf(namespace, name)
    const home = await mkdtemp(join(directory, `${name}-`))
    const parsed = parseWorkloadId(workload)
    assert.ok(parsed.ok)
    const tokens = createJoinTokens(join(directory, 'operator', 'join'), systemClock)
    await writeFile(join(home, 'token'), await tokens.mint({ workload: parsed.value, spiffeId }))
    const [admin = 0, inbound = 0, outbound = 0, probes = 0, metrics = 0] = await freePorts(5)
    const trustDomain = parseTrustDomain('cluster.local')
    assert.ok(trustDomain.ok)
    return {
      told: {
        contract: POD_CONTRACT_VERSION,
        workload: parsed.value,
        role,
        trustDomain: trustDomain.value as TrustDomain,
        serviceAccount: name,
        operator: { host: '127.0.0.1', port: operatorPort, spiffeId: OPERATOR },
        probeKey: KEY,
        probes: [],
        exclude: { inboundPorts: [], outboundPorts: [], outboundCidrs: [] },
        metrics: { allow: [], plaintext: false },
        drainSeconds: 5,
        decisionLog: 'off',
        logLevel: 'error',
      },
      pod: `${namespace}/${name}-0`,
      spiffeId,
      podIps: ['127.0.0.1'],
      ports: { admin, inbound, outbound, probes, metrics },
      paths: {
        token: join(home, 'token'),
        trustAnchors: join(directory, 'ca.crt'),
        state: join(home, 'state'),
        keystores: home,
      },
    }
  }

  function start(t: TestContext, options: PodOptions) {
    const script = join(import.meta.dirname, 'pod-here.ts')
    const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit'] })
    children.add(child)
    const ended = once(child, 'exit').then(([code, signal]) => {
      children.delete(child)
      return (code ?? signal) as number | string
    })
    t.after(async () => {
      child.kill('SIGKILL')
      await ended
    })
    return { child, ended }
  }

  const readyz = ({ ports }: PodOptions) => ask(ports.probes, '/readyz')
  const isReady = async (options: PodOptions) => (await readyz(options)).status === 200
  // From sources, on a machine that does much else, a process alone may take longer than ten seconds to start.
  const ready = (options: PodOptions) => until('ready', () => isReady(options), { withinMs: 60_000 })

  it('has the keystores in place that an app asked for before the app is started', async (t) => {
    const options = await podOf('shop', 'orders', 'shop/orders', 'sidecar')
    start(t, { ...options, told: { ...options.told, keystores: true } })
    await ready(options)
    for (const file of ['keystore.p12', 'truststore.p12', 'password']) {
      assert.equal((await stat(join(options.paths.keystores, file))).mode & 0o777, 0o444, file)
    }
  })

  it('F03 F12: killed and started again without an operator, it serves by what it kept, after less than 2 s of work', async (t) => {
    const options = await podOf('shop', 'orders', 'shop/orders', 'sidecar')
    const first = start(t, options)
    await ready(options)
    for (const file of ['identity/identity.json', 'last-good/config.json', 'admin-token']) {
      const kept = await until(file, () => stat(join(options.paths.state, file)).catch(() => undefined))
      assert.equal(kept.mode & 0o777, 0o600, file)
    }
    const token = await readFile(join(options.paths.state, 'admin-token'), 'utf8')
    first.child.kill('SIGKILL')
    await first.ended
    assert.equal((await readyz(options)).status, 'ECONNREFUSED')

    await stopOperator?.()
    await rm(options.paths.token)
    const second = start(t, options)
    await ready(options)
    const workMs = await cpuTimeMs(second.child.pid)
    assert.ok(workMs < 2_000, `took ${workMs} ms of a CPU`)
    const { status, text } = await ask(options.ports.admin, '/config', { authorization: `Bearer ${token}` })
    assert.equal(status, 200)
    assert.equal(JSON.parse(text).workload, 'shop/orders')
    second.child.kill('SIGTERM')
    assert.equal(await second.ended, 0)
    startOperator()
  })

  it('T32: tells its configuration to whoever holds the token of its own volume, and to nobody else', async (t) => {
    const options = await podOf('shop', 'orders', 'shop/orders', 'sidecar')
    start(t, options)
    await ready(options)
    for (const path of ['/config', '/identity', '/endpoints', '/decision?id=1']) {
      assert.equal((await ask(options.ports.admin, path)).status, 401, path)
      assert.equal((await ask(options.ports.admin, path, { authorization: `Bearer ${KEY}` })).status, 401, path)
      assert.equal((await ask(options.ports.probes, path)).status, 404, path)
    }
    assert.equal((await ask(options.ports.metrics, '/metrics')).status, 'ECONNREFUSED')
  })

  it('answers the kubelet before it is anybody, says what it waits for, and ends in order when told to', async (t) => {
    const options = await podOf('shop', 'orders', 'shop/orders', 'sidecar')
    await rm(options.paths.token)
    const { child, ended } = start(t, options)
    const said = await until('an answer', async () => {
      const answer = await readyz(options)
      return answer.status === 503 && answer
    })
    assert.match(said.text, /identity: not yet; configuration: not yet/)
    assert.equal((await ask(options.ports.probes, '/livez')).status, 200)
    child.kill('SIGTERM')
    assert.equal(await ended, 0)
  })

  it('F19: is not ready from the moment that its pod is deleted, and serves on', async (t) => {
    const options = await podOf('shop', 'orders', 'shop/orders', 'sidecar')
    start(t, options)
    await ready(options)
    assert.equal((await ask(options.ports.probes, '/drain', { 'x-hauberk-probe-key': KEY })).status, 200)
    assert.deepEqual(await readyz(options), { status: 503, text: 'pod: the pod is being deleted', connection: 'close' })
    assert.equal((await ask(options.ports.probes, '/livez')).status, 200)
  })

  for (const workers of [1, 2]) {
    describe(`as a gateway with ${workers === 1 ? 'one worker' : 'two workers'}`, () => {
      const gateway = async (): Promise<PodOptions> => {
        const options = await podOf('hauberk-system', 'gateway-shop-web', 'hauberk-system/gateway-shop-web', 'gateway')
        return { ...options, told: { ...options.told, workers } }
      }

      it('opens the ports that its listeners have, and those that come, without a restart', async (t) => {
        const options = await gateway()
        start(t, options)
        await ready(options)
        assert.equal((await ask(listenerPort, '/')).status, 302)
        const [another = 0] = await freePorts(1)
        await gatewayWith(listenerPort, another)
        t.after(() => gatewayWith(listenerPort))
        await until('the new listener', async () => (await ask(another, '/')).status === 302)
        assert.equal((await ask(listenerPort, '/')).status, 302)
      })

      it('F19: told to end it is unready, says Connection: close, goes on accepting, and then ends', async (t) => {
        const options = await gateway()
        const { child, ended } = start(t, options)
        await ready(options)
        const agent = new Agent({ keepAlive: true })
        t.after(() => agent.destroy())
        assert.equal((await ask(listenerPort, '/', {}, agent)).connection, undefined)
        child.kill('SIGTERM')
        await until('unready', async () => (await readyz(options)).status === 503)
        for (const via of [agent, undefined]) {
          const { status, connection } = await ask(listenerPort, '/', {}, via)
          assert.equal(status, 302)
          assert.equal(connection, 'close')
        }
        assert.equal(await ended, 0)
        assert.equal((await ask(listenerPort, '/')).status, 'ECONNREFUSED')
      })
    })
  }
})

/** What the kernel counted for a process: on a busy machine it says more than a clock on the wall. `proc(5)`, 14 and 15. */
async function cpuTimeMs(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const [utime, stime] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(utime) + Number(stime)) * TICK_MS
}

/** `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Node runs on. */
const TICK_MS = 10
