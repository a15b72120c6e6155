import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../cli/dev/local-mesh.ts'
import { runHauberk } from '../cli/testing/run-hauberk.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const JWK = { ...publicKey.export({ format: 'jwk' }), kid: 'key-1' }

/** A door and a service behind it that answers to tokens of `corp`. */
const MESH = `
apiVersion: v1
kind: Namespace
metadata: {name: desk, labels: {hauberk.dev/inject: enabled}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: door, namespace: desk}
spec:
  gatewayClassName: hauberk
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: desk, namespace: desk}
spec:
  parentRefs: [{name: door}]
  rules: [{backendRefs: [{name: desk, port: 80}]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: desk, namespace: desk}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: desk
  namespace: desk
  annotations: {hauberk.dev/local-command: node app/main.ts}
spec:
  selector: {matchLabels: {app: desk}}
  template:
    metadata: {labels: {app: desk}}
    spec:
      serviceAccountName: desk
      containers:
      - {name: app, image: desk, command: [node, app/main.ts], ports: [{name: http, containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: desk, namespace: desk}
spec: {selector: {app: desk}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp}
spec:
  issuer: https://corp.example
  audiences: [https://desk.example]
  jwks: {inline: {keys: [${JSON.stringify(JWK)}]}}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: door, namespace: desk}
spec:
  targetRefs: [{kind: Gateway, name: door}]
  authentication: {jwt: {required: true, issuers: [{name: corp}]}}
  authorization: {allow: [{name: users, from: {issuers: [corp]}}]}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: desk, namespace: desk}
spec:
  targetRefs: [{kind: Service, name: desk}]
  authorization: {allow: [{name: from-the-door, from: {serviceAccounts: [hauberk-system/gateway-desk-door]}}]}
`

let directory: string
let mesh: LocalMesh

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hauberk-revocation-'))
  const files = join(directory, 'mesh')
  await mkdir(files)
  await cp(join(import.meta.dirname, '../samples/api-keys/app'), join(files, 'app'), { recursive: true })
  await writeFile(join(files, 'mesh.yaml'), MESH)
  mesh = await startLocalMesh({
    files: [files],
    stateDirectory: join(directory, 'state'),
    httpsPort: 0,
    httpPort: 0,
    readyMs: 150_000,
  })
})

after(async () => {
  await mesh?.stop()
  await rm(directory, { recursive: true, force: true })
})

function tokenOf(claims: Readonly<Record<string, unknown>>): string {
  const issuedAt = Math.floor(Date.now() / 1_000)
  const parts = [
    { alg: 'ES256', typ: 'at+jwt', kid: 'key-1' },
    { iss: 'https://corp.example', aud: 'https://desk.example', iat: issuedAt, exp: issuedAt + 3_600, ...claims },
  ]
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

async function ask(token: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${mesh.httpPort}/desk`, {
    headers: { connection: 'close', authorization: `Bearer ${token}` },
  })
  const text = await response.text()
  return response.ok ? `${response.status}` : `${response.status} ${JSON.parse(text).denial}`
}

async function until(expected: string, asked: () => Promise<string>): Promise<void> {
  const deadline = Date.now() + 60_000
  let answer = await asked()
  while (answer !== expected && Date.now() < deadline) answer = await asked()
  assert.equal(answer, expected)
}

test('T26: hauberk revoke has a token refused that was good and remembered, and lets the others pass', async () => {
  assert.deepEqual(mesh.issues, [])
  const lost = tokenOf({ sub: 'ann', jti: 'lost' })
  const other = tokenOf({ sub: 'ann', jti: 'other' })
  for (const token of [lost, lost, other]) assert.equal(await ask(token), '200')
  const options = { cwd: directory }
  const revoked = await runHauberk(['revoke', '--jti', 'lost', '--issuer', 'corp', '--state', 'state'], options)
  assert.deepEqual([revoked.code, revoked.stderr], [0, ''])
  await until('401 token-revoked', () => ask(lost))
  assert.equal(await ask(other), '200')

  const everywhere = await runHauberk(['revoke', '--sub', 'ann', '--state', 'state'], options)
  assert.equal(everywhere.code, 0, everywhere.stderr)
  await until('401 token-revoked', () => ask(other))
  assert.equal(await ask(tokenOf({ sub: 'bob', jti: 'lost-too' })), '200')
})
