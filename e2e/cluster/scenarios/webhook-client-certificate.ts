import assert from 'node:assert/strict'
import { createTestCa } from '../../../model/x509/testing/test-ca.ts'
import type { ShownCertificate } from '../../world/wire.ts'
import type { ClusterWorld } from '../cluster-world.ts'
import { INSTALL_VALUES, openHelm, SYSTEM_NAMESPACE } from '../helm.ts'
import { controlPlaneNode, withApiServerArgument, writeForApiServer } from '../kind-node.ts'
import { KubectlError } from '../kubectl.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-webhook-client'
const NAME = 'api-server.e2e.example'
const AUTHORITY = 'hauberk-e2e-webhook-clients'
/** The API server's pod sees /etc/kubernetes/pki of its node. */
const FILES = '/etc/kubernetes/pki/hauberk-e2e'

export const webhookClientCertificate: ClusterScenario = {
  name: 'webhook-client-certificate',
  title:
    'T28: where the API server shows a client certificate, webhooks answer nobody without it, whatever path they know',
  needs: 'kind',
  async *run(world) {
    const { kubectl, namespace } = world
    await namespace(NS)
    const helm = openHelm(kubectl.context)
    const node = await controlPlaneNode(kubectl)
    const ca = await createTestCa('signs for API servers')
    const issue = (from: typeof ca, name: string) => from.issue({ uris: [], dnsNames: [name] })
    const own = await issue(ca, NAME)
    await Promise.all([
      writeForApiServer(node, `${FILES}/client.crt`, own.chain),
      writeForApiServer(node, `${FILES}/client.key`, own.privateKey),
      writeForApiServer(node, `${FILES}/webhooks.kubeconfig`, KUBECONFIG),
      writeForApiServer(node, `${FILES}/admission.yaml`, ADMISSION),
    ])
    const restore = await withApiServerArgument(
      kubectl,
      node,
      `--admission-control-config-file=${FILES}/admission.yaml`,
    )
    try {
      await kubectl.apply(authorityManifest(ca.root))
      await helm.install({
        ...INSTALL_VALUES,
        'webhooks.clientCertificates.configMap': AUTHORITY,
        'webhooks.clientCertificates.names[0]': NAME,
      })
      const refused = await kubectl.apply(MISTAKEN).catch((error: unknown) => {
        if (error instanceof KubectlError) return error.stderr
        throw error
      })
      assert.match(refused, /admission webhook "policies\.hauberk\.dev" denied.*when/s)
      yield {
        sent: 'the API server has a certificate for webhooks, and the chart demands it; a policy with a mistake',
        got: 'refused by the webhook',
        said: refused.trim().split('\n').at(-1) ?? '',
      }
      await kubectl.apply(pod('one'))
      const { spec } = await kubectl.get(['pod', '-n', NS, 'one'])
      assert.equal(spec.initContainers.at(-1).name, 'hauberk-sidecar')
      yield { sent: 'a pod in an opted-in namespace', got: 'created, with a sidecar' }

      const foreign = await issue(await createTestCa('signs for others'), NAME)
      const cases: readonly (readonly [what: string, shown: ShownCertificate | undefined, answer: RegExp])[] = [
        ['no certificate', undefined, /^$/],
        ['a certificate of another authority', foreign, /^$/],
        ['one of the authority for another name', await issue(ca, 'somebody.example'), /^HTTP\/1\.1 403 /],
        ['the API server’s own', own, /^HTTP\/1\.1 400 /],
      ]
      for (const [what, shown, answer] of cases) {
        const heard = await postToWebhook(world, shown)
        assert.match(heard, answer, what)
        const got = heard === '' ? 'a TLS alert, and no byte' : (heard.split('\r\n')[0] ?? '')
        yield { sent: `from a pod that knows the path of the webhook, with ${what}`, got }
      }
    } finally {
      await helm.install(INSTALL_VALUES)
      await restore()
      await node.run('rm', '-r', FILES)
      await kubectl.run(['delete', 'configmap', '-n', SYSTEM_NAMESPACE, AUTHORITY, '--ignore-not-found'])
    }
    await kubectl.apply(pod('two'))
    yield { sent: 'without it again: a pod', got: 'created' }
  },
}

/** What the webhook says to a question that is none, at its secret path. */
async function postToWebhook(
  { kubectl, secret, sayFromOutside }: ClusterWorld,
  shown: ShownCertificate | undefined,
): Promise<string> {
  const path = await secret(SYSTEM_NAMESPACE, 'hauberk-webhook', 'path')
  const { spec } = await kubectl.get(['service', '-n', SYSTEM_NAMESPACE, 'hauberk-operator'])
  const head = `POST /policies/${path} HTTP/1.1\r\nhost: hauberk-operator\r\ncontent-length: 2\r\nconnection: close\r\n\r\n`
  const mutualTls = { alpn: 'http/1.1', ...(shown !== undefined && { shown }) }
  const { text } = await sayFromOutside({ host: spec.clusterIP, port: 443, bytes: `${head}{}`, mutualTls })
  return text
}

const KUBECONFIG = `apiVersion: v1
kind: Config
users:
- name: hauberk-operator.hauberk-system.svc
  user:
    client-certificate: ${FILES}/client.crt
    client-key: ${FILES}/client.key
`

const ADMISSION = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
${['MutatingAdmissionWebhook', 'ValidatingAdmissionWebhook']
  .map(
    (name) => `- name: ${name}
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: ${FILES}/webhooks.kubeconfig
`,
  )
  .join('')}`

const MISTAKEN = `apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: mistaken, namespace: ${NS}}
spec:
  targetRefs: [{kind: Pod, selector: {}}]
  authorization: {allow: [{name: a, when: 'claims.sub =='}]}
`

function authorityManifest(root: string): string {
  const lines = root.trim().split('\n')
  return `apiVersion: v1
kind: ConfigMap
metadata: {name: ${AUTHORITY}, namespace: ${SYSTEM_NAMESPACE}}
data:
  ca.crt: |
${lines.map((line) => `    ${line}`).join('\n')}
`
}

function pod(name: string): string {
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${NS}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: app, image: 'hauberk-shop:0.1.0', command: [node, --eval, 'setInterval(() => {}, 1e6)']}]
`
}
