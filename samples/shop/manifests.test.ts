import assert from 'node:assert/strict'
import { access, readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'

interface Manifest {
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Record<string, string>
    readonly annotations?: Record<string, string>
  }
  // biome-ignore lint/suspicious/noExplicitAny: manifests of many kinds, read here and there
  readonly spec: any
  readonly data?: unknown
  readonly stringData?: unknown
}

const directory = fileURLToPath(new URL('.', import.meta.url))
const manifests = await readManifests()
const ofKind = (kind: string) => manifests.filter((manifest) => manifest.kind === kind)
const find = (kind: string, namespace: string | undefined, name: string) =>
  ofKind(kind).find(({ metadata }) => metadata.name === name && metadata.namespace === namespace)

async function readManifests(): Promise<Manifest[]> {
  const files = (await readdir(directory)).filter((name) => name.endsWith('.yaml'))
  const texts = await Promise.all(files.map((name) => readFile(directory + name, 'utf8')))
  return texts
    .flatMap((text) => parseAllDocuments(text, { strict: true }))
    .map((document) => {
      assert.deepEqual(document.errors, [])
      return document.toJS() as Manifest
    })
}

/** The keys that a Secret will have, by its generator. */
function keysOf(namespace: string | undefined, name: string): string[] {
  const secret = find('Secret', namespace, name)
  assert.ok(secret, `there is no Secret ${namespace}/${name}`)
  const generate = parse(secret.metadata.annotations?.['hauberk.dev/generate'] ?? '') as Record<string, Generator>
  return Object.entries(generate).flatMap(([key, { kind, users = [], passwords = 'password-' }]) =>
    kind === 'scrypt-users' ? [key, ...users.map((user) => passwords + user)] : [key],
  )
}

interface Generator {
  readonly kind: string
  readonly users?: readonly string[]
  readonly passwords?: string
  readonly from?: string
  readonly key?: string
}

test('nothing secret is in the manifests, and each generator is of a kind that the README names', async () => {
  const readme = await readFile(`${directory}README.md`, 'utf8')
  for (const secret of ofKind('Secret')) {
    assert.equal(secret.data, undefined)
    assert.equal(secret.stringData, undefined)
    const generate = parse(secret.metadata.annotations?.['hauberk.dev/generate'] ?? '') as Record<string, Generator>
    for (const { kind, from, key } of Object.values(generate)) {
      assert.ok(readme.includes(`| \`${kind}\` |`), kind)
      if (kind !== 'copy') continue
      const [namespace, name = ''] = from?.split('/') ?? []
      assert.ok(keysOf(namespace, name).includes(key ?? ''))
    }
  }
})

test('each Deployment says its local command, has an account of its own, and is in the mesh', async () => {
  for (const { metadata, spec } of ofKind('Deployment')) {
    const command = metadata.annotations?.['hauberk.dev/local-command'] ?? ''
    const [container] = spec.template.spec.containers
    if (command !== 'postgres') {
      assert.deepEqual(command.split(' '), container.command)
      await access(directory + container.command[1])
    }
    assert.equal(spec.template.spec.serviceAccountName, metadata.name)
    assert.ok(find('ServiceAccount', metadata.namespace, metadata.name))
    const namespace = find('Namespace', undefined, metadata.namespace ?? '')
    assert.equal(namespace?.metadata.labels?.['hauberk.dev/inject'], 'enabled')
  }
})

test('each path in an environment is a file of a mounted Secret', () => {
  for (const { metadata, spec } of ofKind('Deployment')) {
    const { containers, volumes = [] } = spec.template.spec
    for (const { env = [], volumeMounts = [] } of containers) {
      for (const { value } of env as { value: string }[]) {
        if (!value.startsWith('/var/')) continue
        const mount = volumeMounts.find(
          ({ mountPath }: { mountPath: string }) => value === mountPath || value.startsWith(`${mountPath}/`),
        )
        assert.ok(mount, value)
        const { secret } = volumes.find(({ name }: { name: string }) => name === mount.name)
        const items = secret.items?.map(({ path }: { path: string }) => path)
        const file = value.slice(mount.mountPath.length + 1)
        const keys = keysOf(metadata.namespace, secret.secretName)
        if (file) assert.ok((items ?? keys).includes(file), value)
        for (const item of secret.items ?? []) assert.ok(keys.includes(item.key))
      }
    }
  }
})

test('each Service leads to a named port of a Deployment', () => {
  for (const { metadata, spec } of ofKind('Service')) {
    const deployment = find('Deployment', metadata.namespace, spec.selector.app)
    assert.deepEqual(deployment?.spec.template.metadata.labels, spec.selector)
    const names = deployment?.spec.template.spec.containers[0].ports.map(({ name }: { name: string }) => name)
    for (const { targetPort } of spec.ports) assert.ok(names.includes(targetPort))
  }
})

test('each route leads to a Service, across namespaces only by a grant', () => {
  for (const { metadata, spec } of ofKind('HTTPRoute')) {
    for (const { name, sectionName } of spec.parentRefs) {
      const listeners = find('Gateway', metadata.namespace, name)?.spec.listeners
      assert.ok(listeners.some((listener: { name: string }) => listener.name === sectionName))
    }
    for (const { backendRefs = [] } of spec.rules) {
      for (const { name, namespace = metadata.namespace, port } of backendRefs) {
        assert.equal(find('Service', namespace, name)?.spec.ports[0].port, port)
        if (namespace === metadata.namespace) continue
        const grants = ofKind('ReferenceGrant').filter((grant) => grant.metadata.namespace === namespace)
        assert.ok(grants.some(({ spec: { to } }) => to[0].name === name))
      }
    }
  }
})

test('each policy is for something that exists, and every Service but reviews has one', () => {
  const covered = new Set<string>()
  for (const { metadata, spec } of ofKind('SecurityPolicy')) {
    for (const { kind, name } of spec.targetRefs) {
      assert.ok(find(kind, metadata.namespace, name), `${kind} ${name}`)
      covered.add(name)
    }
  }
  const open = ofKind('Service').filter(({ metadata }) => !covered.has(metadata.name))
  assert.deepEqual(
    open.map(({ metadata }) => metadata.name),
    ['reviews'],
  )
})
