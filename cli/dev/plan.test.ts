import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { describeIssue } from '../../model/result.ts'
import { parseYaml } from '../../operator/sources/yaml-documents.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { type PlanInput, planMesh } from './plan.ts'
import { podOf } from './pods.ts'
import { translated } from './resources.ts'

/** Plans what some YAML says; ports are 1001, 1002, ... in the order in which they are asked for. */
async function plan(yaml: string, input: Partial<PlanInput> = {}) {
  const parsed = parseYaml(yaml)
  assert.ok(parsed.ok)
  const snapshot = snapshotOf(parsed.documents.map(({ value }) => value as Resource))
  const ports = new Map<string, number>()
  const takePort = async (purpose: string) => {
    const port = ports.get(purpose) ?? 1_001 + ports.size
    ports.set(purpose, port)
    return port
  }
  const planned = await planMesh({
    configs: translated(snapshot).configs,
    deployments: snapshot.ofKind('Deployment').map((resource) => ({ resource, directory: '/k8s' })),
    secretKeys: new Map([['a/s', ['one', 'two']]]),
    secretFile: (secret, key) => `/secrets/${secret}/${key}`,
    mountDirectory: (workload, volume) => `/mounts/${workload}/${volume}`,
    socketDirectory: (workload) => `/sockets/${workload}`,
    inheritedEnvironment: {},
    nodePath: '/bin/node24',
    takePort,
    takeGatewayPort: async (_gateway, port) => port + 8_000,
    credential: () => 'x'.repeat(43),
    ...input,
  })
  return { ...planned, ports }
}

function deployment(
  name: string,
  container: string,
  annotations = `hauberk.dev/local-command: node ${name}.ts`,
): string {
  return `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: a, annotations: {${annotations}}}
spec:
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      serviceAccountName: ${name}
      containers:
      - {name: c, ${container}}
      volumes:
      - {name: v, secret: {secretName: s}}
      - {name: some, secret: {secretName: s, items: [{key: one, path: deep/first}]}}
      - {name: maybe, secret: {secretName: nowhere, optional: true}}
      - {name: never, secret: {secretName: nowhere}}
`
}

function service(name: string, port: string): string {
  return `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: a}
spec: {selector: {app: ${name}}, ports: [{${port}}]}
`
}

const HTTP = 'ports: [{name: http, containerPort: 8080}]'

test('an app gets a port in place of its first one, its sidecar one of its own, and others stay where they are', async () => {
  const { workloads, ports } = await plan(
    deployment('x', 'ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}]') +
      service('x', 'name: http, port: 80, targetPort: http'),
  )
  const [x] = workloads
  assert.deepEqual(x?.placement.inbound, [
    {
      containerPort: 8080,
      bind: { host: '127.0.0.1', port: ports.get('a/x inbound 8080') },
      app: { host: '127.0.0.1', port: ports.get('a/x app 8080') },
    },
    {
      containerPort: 9090,
      bind: { host: '127.0.0.1', port: ports.get('a/x inbound 9090') },
      app: { host: '127.0.0.1', port: 9090 },
    },
  ])
  assert.equal(x?.spiffeId, 'spiffe://cluster.local/ns/a/sa/x')
  assert.ok(x.app.kind === 'command')
  assert.equal(x.app.environment['PORT'], String(ports.get('a/x app 8080')))
  assert.deepEqual(x.app.argv, ['/bin/node24', 'x.ts'])
  assert.deepEqual(x.app.readiness, { port: ports.get('a/x app 8080') })
  assert.match(x.app.environment['HTTP_PROXY'] ?? '', /^http:\/\/a\.x:x{43}@127\.0\.0\.1:\d+$/)
})

test('the pod says where its sidecar listens, and keeps the names of its ports', async () => {
  const { workloads, ports } = await plan(deployment('x', HTTP) + service('x', 'port: 80, targetPort: http'))
  const pod = podOf(workloads[0]!, true)
  assert.equal(pod.metadata.annotations?.['hauberk.dev/local-ports'], `{"8080":${ports.get('a/x inbound 8080')}}`)
  const { endpoints } = translated(
    snapshotOf([pod, ...resourcesOf(deployment('x', HTTP) + service('x', 'port: 80, targetPort: http'))]),
  )
  const [document] = endpoints.values()
  assert.deepEqual(document?.endpoints, {
    'a/x:80': [{ address: '127.0.0.1', port: ports.get('a/x inbound 8080'), pod: 'a/x-local' }],
  })
})

test('a port that only a Service names is one of the workload too', async () => {
  const { workloads } = await plan(deployment('x', 'image: x') + service('x', 'port: 80, targetPort: 8081'))
  assert.deepEqual(
    workloads[0]?.placement.inbound.map(({ containerPort }) => containerPort),
    [8081],
  )
})

test('every workload has a port for each TCP Service that it may call, and the app is told of it', async () => {
  const { workloads, ports } = await plan(
    deployment('x', `${HTTP}, env: [{name: DB, value: 'tcp://db:5432'}, {name: OTHER, value: 'db.b:5432'}]`) +
      deployment('db', 'ports: [{containerPort: 5432}]') +
      service('db', 'name: postgresql, port: 5432'),
  )
  const x = workloads.find(({ id }) => id === 'a/x')
  const port = ports.get('a/x tcp a/db:5432')
  assert.deepEqual(x?.placement.tcp, [{ upstream: 'a/db:5432', bind: { host: '127.0.0.1', port } }])
  assert.ok(x.app.kind === 'command')
  assert.equal(x.app.environment['DB'], `tcp://127.0.0.1:${port}`)
  assert.equal(x.app.environment['OTHER'], 'db.b:5432')
})

test('mounted Secrets are directories of links: all keys, those named, or none where that is allowed', async () => {
  const mounts =
    'volumeMounts: [{name: v, mountPath: /v}, {name: some, mountPath: /some/}, {name: maybe, mountPath: /maybe}]'
  const env = 'env: [{name: A, value: /v/one}, {name: B, value: /some}, {name: C, value: /maybe/x}]'
  const { workloads } = await plan(deployment('x', `${HTTP}, ${mounts}, ${env}`))
  assert.deepEqual(workloads[0]?.mounts, [
    {
      directory: '/mounts/a.x/v',
      links: [
        { path: 'one', target: '/secrets/a/s/one' },
        { path: 'two', target: '/secrets/a/s/two' },
      ],
    },
    { directory: '/mounts/a.x/some', links: [{ path: 'deep/first', target: '/secrets/a/s/one' }] },
    { directory: '/mounts/a.x/maybe', links: [] },
  ])
  const { app } = workloads[0]!
  assert.ok(app.kind === 'command')
  assert.deepEqual(
    [app.environment['A'], app.environment['B'], app.environment['C']],
    ['/mounts/a.x/v/one', '/mounts/a.x/some', '/mounts/a.x/maybe/x'],
  )
})

test('the word postgres stands for the one that comes with us, behind a socket', async () => {
  const { workloads } = await plan(
    deployment(
      'db',
      `ports: [{containerPort: 5432}], volumeMounts: [{name: v, mountPath: /v}],
        env: [{name: POSTGRES_USER, value: u}, {name: POSTGRES_PASSWORD_FILE, value: /v/one}]`,
      'hauberk.dev/local-command: postgres',
    ),
  )
  assert.deepEqual(workloads[0]?.app, {
    kind: 'postgres',
    user: 'u',
    database: 'u',
    passwordFile: '/mounts/a.db/v/one',
    socketDirectory: '/sockets/a.db',
  })
  assert.deepEqual(workloads[0]?.placement.inbound[0]?.app, { unixSocket: '/sockets/a.db/.s.PGSQL.5432' })
})

test('a database that trusts its sidecar has no password', async () => {
  const { workloads, issues } = await plan(
    deployment(
      'db',
      'ports: [{containerPort: 5432}], env: [{name: POSTGRES_HOST_AUTH_METHOD, value: trust}]',
      'hauberk.dev/local-command: postgres',
    ),
  )
  assert.deepEqual(issues, [])
  const socketDirectory = '/sockets/a.db'
  assert.deepEqual(workloads[0]?.app, { kind: 'postgres', user: 'postgres', database: 'postgres', socketDirectory })
})

test('a Gateway is a process with a local port for each of its own, and its clients are told of that one', async () => {
  const { gateways } = await plan(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: h}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: a}
spec:
  gatewayClassName: h
  listeners:
  - {name: one, port: 443, protocol: HTTPS, hostname: one.localhost, tls: {options: {hauberk.dev/certificate: mesh}}}
  - {name: two, port: 443, protocol: HTTPS, hostname: two.localhost, tls: {options: {hauberk.dev/certificate: mesh}}}
  - {name: plain, port: 80, protocol: HTTP}`)
  const [gateway] = gateways
  const at = (listener: string, port: number) => ({ listener, bind: { host: '127.0.0.1', port }, visiblePort: port })
  assert.deepEqual(gateway?.placement.gateway, [at('one', 8443), at('two', 8443), at('plain', 8080)])
  assert.equal(gateway?.placement.proxy, undefined)
})

test('what is not run on this machine is not planned', async () => {
  const { workloads, issues } = await plan(
    deployment('x', HTTP, '') + deployment('y', HTTP).replace('spec:\n', 'spec:\n  replicas: 0\n'),
  )
  assert.deepEqual([workloads, issues], [[], []])
})

test('what cannot be started says why, and what is not made only warns', async () => {
  const told = async (container: string, annotations?: string) =>
    (await plan(deployment('x', container, annotations))).issues.map(
      (found) => `${found.severity} ${describeIssue(found)}`,
    )
  const [first] = await told(`${HTTP}, volumeMounts: [{name: never, mountPath: /x}]`)
  assert.match(first ?? '', /^error Deployment\/a\/x: .*there is no Secret a\/nowhere, which the volume never holds/)
  assert.match((await told(HTTP, `hauberk.dev/local-command: ' '`))[0] ?? '', /^error .*names no command/)
  assert.match(
    (await told(`${HTTP}, readinessProbe: {httpGet: {port: web}}`))[0] ?? '',
    /^error .*the container has no port web/,
  )
  assert.match(
    (await told(`${HTTP}, env: [{name: A, valueFrom: {}}]`))[0] ?? '',
    /^warning .*A is not set on this machine/,
  )
  assert.match((await told('ports: 5'))[0] ?? '', /^error /)
  assert.match(
    (await told('ports: [{containerPort: 5432}]', 'hauberk.dev/local-command: postgres'))[0] ?? '',
    /^error .*neither POSTGRES_HOST_AUTH_METHOD nor POSTGRES_PASSWORD_FILE/,
  )
})

test('a path of a volume does not lead out of it', async () => {
  for (const path of ['../x', '/x', 'a/../../x', '']) {
    const yaml = deployment('x', `${HTTP}, volumeMounts: [{name: some, mountPath: /x}]`).replace(
      'deep/first',
      `'${path}'`,
    )
    const { issues, workloads } = await plan(yaml)
    assert.match(describeIssue(issues[0]!), /is no path inside of the volume some/)
    assert.deepEqual(workloads, [])
  }
})

function resourcesOf(yaml: string): readonly Resource[] {
  const parsed = parseYaml(yaml)
  assert.ok(parsed.ok)
  return parsed.documents.map(({ value }) => value as Resource)
}

test('a volume that is to hold keystores is a folder that the sidecar is told of', async () => {
  const yaml = (volume: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: x, namespace: a, annotations: {hauberk.dev/local-command: java -jar x.jar}}
spec:
  template:
    metadata: {labels: {app: x}, annotations: {hauberk.dev/keystores: identity}}
    spec:
      containers:
      - {name: c, env: [{name: STORE, value: /run/identity/keystore.p12}], volumeMounts: [{name: identity, mountPath: /run/identity/}]}
      volumes: [{name: identity, ${volume}}]
`
  const { workloads, issues } = await plan(yaml('emptyDir: {medium: Memory}'))
  assert.deepEqual(issues, [])
  const [workload] = workloads
  assert.equal(workload?.keystoreDirectory, '/mounts/a.x/identity')
  assert.equal(
    workload?.app.kind === 'command' && workload.app.environment['STORE'],
    '/mounts/a.x/identity/keystore.p12',
  )

  const refused = await plan(yaml('emptyDir: {}'))
  assert.deepEqual(refused.issues.map(describeIssue), [
    `Deployment/a/x: spec.template.metadata.annotations["hauberk.dev/keystores"]: the volume 'identity' is not in memory (name a volume of the pod with emptyDir: {medium: Memory})`,
  ])
})
