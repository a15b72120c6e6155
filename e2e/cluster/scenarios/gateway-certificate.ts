import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { createTestCa } from '../../../model/x509/testing/test-ca.ts'
import { until } from '../../world/until.ts'
import { clientApp, echoApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-edge'
const HOST = 'edge.example.com'

export const gatewayCertificate: ClusterScenario = {
  name: 'gateway-certificate',
  title: 'a Secret that a Gateway names is rotated: the new certificate is shown, and no request is lost',
  core: true,
  async *run({ kubectl, namespace }) {
    await namespace(NS)
    const ca = await createTestCa('a CA of the user’s own')
    const secret = async () => {
      const { chain, privateKey } = await ca.issue({ dnsNames: [HOST], uris: [] })
      const encode = (text: string) => Buffer.from(text).toString('base64')
      return `apiVersion: v1
kind: Secret
metadata: {name: edge, namespace: ${NS}}
type: kubernetes.io/tls
data: {tls.crt: ${encode(chain)}, tls.key: ${encode(privateKey)}}
`
    }
    await kubectl.apply(await secret())
    await kubectl.apply(
      await echoApp({ namespace: NS, name: 'server', callers: [`hauberk-system/gateway-${NS}-edge`] }),
    )
    await kubectl.apply(clientApp({ namespace: NS, name: 'client' }))
    await kubectl.apply(EDGE)
    const resolved = async () => {
      const { status } = await kubectl.get(['gateways.gateway.networking.k8s.io', '-n', NS, 'edge'])
      const listeners = (status?.listeners ?? []) as readonly { readonly conditions: readonly Condition[] }[]
      return listeners[0]?.conditions.find(({ type }) => type === 'ResolvedRefs')
    }
    const refused = await until(
      'the status says that nobody may read the Secret',
      async () => {
        const condition = await resolved()
        return condition?.status === 'False' ? condition : undefined
      },
      { withinMs: 30_000, everyMs: 300 },
    )
    yield {
      sent: 'a Gateway that names a Secret, and nobody granted it',
      got: `ResolvedRefs=False, ${refused.reason}`,
      said: refused.message,
    }
    await kubectl.apply(GRANT)
    await until('the Secret is read', async () => (await resolved())?.status === 'True', {
      withinMs: 90_000,
      everyMs: 500,
    })
    await ready(kubectl, NS, ['server'])
    await kubectl.run(
      ['wait', '-n', NS, '--for=condition=Programmed', 'gateways.gateway.networking.k8s.io/edge', '--timeout=90s'],
      { timeoutMs: 95_000 },
    )
    yield { sent: 'a Role and a RoleBinding for that one Secret', got: 'ResolvedRefs=True, Programmed=True' }

    const { spec } = await kubectl.get(['service', '-n', 'hauberk-system', `gateway-${NS}-edge`])
    const [node] = await kubectl.list(['nodes'])
    const addresses = node?.status.addresses as readonly { readonly type: string; readonly address: string }[]
    const at = {
      host: addresses.find(({ type }) => type === 'InternalIP')?.address ?? '',
      port: Number(spec.ports[0].nodePort),
    }
    const ask = () => askOnce(at, ca.root)
    await until('the gateway answers', async () => (await ask().catch(() => undefined))?.status === 200, {
      withinMs: 30_000,
      everyMs: 300,
    })
    const before = await ask()
    let sent = 0
    const lost: string[] = []
    const timer = setInterval(() => {
      sent += 1
      ask().then(
        ({ status }) => status !== 200 && lost.push(String(status)),
        (error: unknown) => lost.push(String(error)),
      )
    }, 50)
    try {
      await kubectl.apply(await secret())
      const after = await until(
        'another certificate is shown',
        async () => {
          const seen = await ask()
          return seen.fingerprint === before.fingerprint ? undefined : seen
        },
        { withinMs: 30_000, everyMs: 200 },
      )
      assert.equal(after.status, 200)
      await until('there was load enough', () => sent >= 150, { withinMs: 30_000 })
    } finally {
      clearInterval(timer)
    }
    assert.deepEqual(lost, [])
    yield {
      sent: 'the Secret gets another certificate, at 20 new connections a second',
      got: `the new one is shown; ${sent} requests, 0 lost`,
    }
  },
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

async function askOnce(at: { readonly host: string; readonly port: number }, ca: string) {
  const socket = connect({ ...at, servername: HOST, ca, ALPNProtocols: ['http/1.1'], timeout: 5_000 })
  try {
    await once(socket, 'secureConnect')
    const { fingerprint256 } = socket.getPeerCertificate()
    socket.write(`GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`)
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    const status = Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(Buffer.concat(chunks).toString('latin1'))?.[1])
    return { status, fingerprint: fingerprint256 }
  } finally {
    socket.destroy()
  }
}

const EDGE = `apiVersion: hauberk.dev/v1alpha1
kind: GatewayParameters
metadata: {name: edge, namespace: ${NS}}
spec: {replicas: 1, service: {type: NodePort, externalTrafficPolicy: Cluster}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: ${NS}}
spec:
  gatewayClassName: hauberk
  infrastructure:
    parametersRef: {group: hauberk.dev, kind: GatewayParameters, name: edge}
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: ${HOST}, tls: {certificateRefs: [{name: edge}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: edge, namespace: ${NS}}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: server, port: 80}]}]
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: edge, namespace: ${NS}}
spec:
  targetRefs: [{kind: Gateway, name: edge}]
  authorization: {allow: [{name: anybody}]}
`

const GRANT = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: hauberk-secrets, namespace: ${NS}}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [edge], verbs: [get, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: hauberk-secrets, namespace: ${NS}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: hauberk-secrets}
subjects: [{kind: ServiceAccount, name: hauberk-operator, namespace: hauberk-system}]
`
