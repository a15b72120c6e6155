// `helm test`: is the operator who it says it is, and does the API server ask it about policies?
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:tls'

const NAMESPACE = 'hauberk-system'
const OPERATOR = `hauberk-operator.${NAMESPACE}.svc`
const API_SERVER = 'https://kubernetes.default.svc'
const DEADLINE_MS = 60_000
const PAUSE_MS = 1_000

const token = await readFile('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8')

let failed = 0
await step('the operator shows the identity of the operator, signed by the roots of the mesh', async () => {
  const { status, body } = await ask('GET', `/api/v1/namespaces/${NAMESPACE}/configmaps/hauberk-trust-anchors`)
  if (status !== 200) throw new Error(`the ConfigMap hauberk-trust-anchors of ${NAMESPACE}: ${body.message}`)
  const names = await subjectOf(OPERATOR, 15012, body.data['ca.crt'])
  if (!/^URI:spiffe:\/\/[^/]+\/ns\/hauberk-system\/sa\/hauberk-operator\b/.test(names)) {
    throw new Error(`${OPERATOR}:15012 shows ${names}`)
  }
})
await step('a policy that can be understood is accepted', async () => {
  const { status, body } = await create({ name: 'claim', when: "claims.sub == 'a'" })
  if (status !== 201) throw new Error(`it was refused: ${body.message}`)
})
await step('a policy that cannot be understood is refused, with the path of what is wrong', async () => {
  const { status, body } = await create({ name: 'claim', when: 'claims.sub ==' })
  if (status === 201) throw new Error('it was accepted')
  if (!body.message.includes('spec.authorization.allow[0].when')) throw new Error(body.message)
})
process.exitCode = failed === 0 ? 0 : 1

/** Tries until it is so: a Service takes a moment to lead to pods that have just become ready. */
async function step(name, attempt) {
  const end = Date.now() + DEADLINE_MS
  for (;;) {
    try {
      await attempt()
      process.stdout.write(`ok: ${name}\n`)
      return
    } catch (error) {
      if (Date.now() > end) {
        failed += 1
        process.stdout.write(`FAILED: ${name}: ${error.message}${error.cause ? ` (${error.cause.message})` : ''}\n`)
        return
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

async function ask(method, path, body) {
  const response = await fetch(API_SERVER + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  })
  return { status: response.status, body: await response.json() }
}

/** Nothing is made of it: dryRun=All ends after the webhooks. */
function create(rule) {
  return ask('POST', `/apis/hauberk.dev/v1alpha1/namespaces/${NAMESPACE}/securitypolicies?dryRun=All`, {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { generateName: 'helm-test-', namespace: NAMESPACE },
    spec: { targetRefs: [{ kind: 'Service', name: 'helm-test' }], authorization: { allow: [rule] } },
  })
}

/** The names of a certificate that `ca` vouches for. It has no DNS name to compare: the caller looks at the SPIFFE ID. */
function subjectOf(host, port, ca) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ca, servername: host, checkServerIdentity: () => undefined }, () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw).subjectAltName ?? 'no name')
      socket.destroy()
    })
    socket.setTimeout(10_000, () => socket.destroy(new Error(`${host}:${port} does not answer`)))
    socket.on('error', reject)
  })
}
