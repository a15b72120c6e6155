import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { type WebSocket, WebSocketServer } from 'ws'
import type { OperatorMessage, SidecarMessage } from '../../../contract/session.ts'
import type { WorkloadConfig } from '../../../contract/workload-config.ts'
import { saveIdentity } from '../../identity/identity-file.ts'
import { testId } from '../../identity/testing/test-identity.ts'
import { serverTlsOptions } from '../../identity/tls-options.ts'
import { dialMesh, type TestClient } from '../../serve/testing/client.ts'
import { until } from '../../serve/testing/until.ts'
import { createTestMesh, LOOPBACK, type TestMesh } from '../../serve/testing/world.ts'
import { openSidecar, type Sidecar } from '../../sidecar.ts'

/** A sidecar with workers, as a program runs it, and an operator that says what a test does. */
export interface TestPod {
  readonly mesh: TestMesh
  readonly sidecar: Sidecar
  readonly port: number
  /** Threads beside the first worker, in the order in which they began; those that have ended too. */
  readonly threads: readonly Worker[]
  readonly heard: readonly SidecarMessage[]
  send(message: OperatorMessage): void
  /** Sends it, and resolves when the sidecar says that it obeys. */
  push(config: WorkloadConfig): Promise<void>
  dial(): Promise<TestClient>
  /** What `/metrics` says of a series; 0 where there is none. */
  metric(series: string): Promise<number>
  ask(path: string): Promise<Response>
  whenReady(): Promise<void>
}

const ADMIN_TOKEN = 'admin-token-of-a-test-0123456789'
const ORDERS = testId('orders')

/** Its inbound port is `containerPort` of the config; the application listens on `appPort`. */
export async function startPod(
  t: TestContext,
  { workers, config, appPort }: { readonly workers: number; readonly config: WorkloadConfig; readonly appPort: number },
): Promise<TestPod> {
  const mesh = await createTestMesh()
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-workers-'))
  const state = join(directory, 'state')
  await mkdir(join(state, 'identity'), { recursive: true, mode: 0o700 })
  await saveIdentity(join(state, 'identity'), await mesh.identity('orders'))
  await writeFile(join(directory, 'ca.crt'), mesh.ca.root)
  const operator = await startOperator(t, mesh)
  const threads: Worker[] = []
  const onThread = (thread: Worker) => void threads.push(thread)
  process.on('worker', onThread)
  const placement = {
    inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: appPort } }],
    gateway: [],
    tcp: [],
  }
  const end = new AbortController()
  const sidecar = await openSidecar(
    {
      release: '0.0.0',
      workload: 'shop/orders',
      pod: 'shop/orders-0',
      spiffeId: ORDERS,
      operator: { host: '127.0.0.1', port: operator.port, spiffeId: testId('operator') },
      trustAnchorsFile: join(directory, 'ca.crt'),
      tokenFile: join(directory, 'no-token'),
      stateDirectory: state,
      admin: { port: 0, token: ADMIN_TOKEN },
      placement: () => placement,
      logLevel: 'silent',
      decisionLog: 'off',
      drainMs: 5_000,
      workers: { count: workers, place: { kind: 'local', placement } },
    },
    end.signal,
  )
  t.after(async () => {
    end.abort()
    await sidecar.end()
    process.off('worker', onThread)
    await rm(directory, { recursive: true, maxRetries: 3 })
  })
  await sidecar.identify()
  const plane = await sidecar.serve()
  const push = async (pushed: WorkloadConfig) => {
    await until(() => operator.isConnected(), 'the sidecar connects')
    operator.send({ type: 'config', config: pushed })
    const isObeyed = (message: SidecarMessage) => message.type === 'ack' && message.version === pushed.version
    await until(() => operator.heard.some(isObeyed), 'the config is acknowledged', 60_000)
  }
  await push({ ...config, trustBundle: [mesh.ca.root] })
  const port = plane.listeners()[0]?.address.port ?? 0
  const client = await mesh.identity('web')
  const ask = (path: string) =>
    fetch(`http://127.0.0.1:${sidecar.adminPort}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } })
  return {
    mesh,
    sidecar,
    port,
    threads,
    heard: operator.heard,
    send: operator.send,
    push,
    dial: () => dialMesh(port, client, ORDERS),
    async metric(series) {
      const lines = (await (await ask('/metrics')).text()).split('\n')
      return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1) ?? 0)
    },
    ask,
    whenReady: () => sidecar.health.whenReady(AbortSignal.timeout(30_000)),
  }
}

async function startOperator(t: TestContext, mesh: TestMesh) {
  const identity = await mesh.identity('operator')
  const server = createServer({ ...serverTlsOptions(identity), ALPNProtocols: ['http/1.1'] })
  const sockets = new WebSocketServer({ server })
  const heard: SidecarMessage[] = []
  let session: WebSocket | undefined
  sockets.on('connection', (socket) => {
    session = socket
    socket.on('message', (text) => heard.push(JSON.parse(String(text)) as SidecarMessage))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate()
    sockets.close()
    server.close()
    server.closeAllConnections()
  })
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    isConnected: () => session?.readyState === 1,
    send: (message: OperatorMessage) => session?.send(JSON.stringify(message)),
  }
}
