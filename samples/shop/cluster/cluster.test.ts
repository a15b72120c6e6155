import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { parse, parseAllDocuments } from 'yaml'

interface Manifest {
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly annotations?: Record<string, string>
  }
  // biome-ignore lint/suspicious/noExplicitAny: manifests of many kinds, read here and there
  readonly [field: string]: any
}

const SHOP = resolve(import.meta.dirname, '..')
const keyOf = ({ kind, metadata }: Manifest) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
const manifestsOf = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as Manifest)
const base = globSync('*.yaml', { cwd: SHOP })
  .filter((name) => name !== 'kustomization.yaml')
  .flatMap((name) => manifestsOf(readFileSync(join(SHOP, name), 'utf8')))

/** What `kubectl apply -k` sends, or why that is not known. */
const rendered = (() => {
  try {
    return manifestsOf(execFileSync('kubectl', ['kustomize', SHOP], { encoding: 'utf8' }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
})()
const WITH_KUBECTL = { skip: rendered === undefined ? 'THERE IS NO KUBECTL ON PATH' : false }
const find = (key: string) => {
  const found = rendered?.find((manifest) => keyOf(manifest) === key)
  assert.ok(found, key)
  return found
}

test('every file of the shop goes to a cluster', () => {
  const { resources, patches } = parse(readFileSync(join(SHOP, 'kustomization.yaml'), 'utf8'))
  const named = [...resources, ...patches.flatMap(({ path }: { path?: string }) => path ?? [])].sort()
  const there = [...globSync('*.yaml', { cwd: SHOP }), ...globSync('cluster/*.yaml', { cwd: SHOP })]
  assert.deepEqual(named, there.filter((name) => name !== 'kustomization.yaml').sort())
})

test('a cluster gets the very resources of a laptop, but for what only a cluster has', WITH_KUBECTL, () => {
  const changed = base
    .filter(({ kind }) => kind !== 'GatewayClass')
    .filter((manifest) => !isDeepStrictEqual(find(keyOf(manifest)), manifest))
    .map(keyOf)
  assert.deepEqual(changed.sort(), [
    'Deployment identity/auth',
    'Deployment shop/orders',
    'Deployment shop/orders-db',
    'Deployment shop/storefront',
    'Gateway shop/shop',
    'HTTPRoute shop/to-https',
  ])
  const { infrastructure, ...spec } = find('Gateway shop/shop').spec
  assert.deepEqual(spec, base.find((manifest) => keyOf(manifest) === 'Gateway shop/shop')?.spec)
  const { kind, name } = infrastructure.parametersRef
  assert.ok(find(`${kind} shop/${name}`))
  // The port of this machine that kind leads to the gateway's 443.
  const [rule] = find('HTTPRoute shop/to-https').spec.rules
  assert.deepEqual(rule.filters[0].requestRedirect, { scheme: 'https', statusCode: 308, port: 8443 })
})

test('the class is the one that is there when Hauberk is installed', WITH_KUBECTL, () => {
  assert.equal(rendered?.filter(({ kind }) => kind === 'GatewayClass').length, 0)
})

test('each pod waits for every key that it mounts: none starts with an empty directory', WITH_KUBECTL, () => {
  for (const { kind, metadata, spec } of rendered ?? []) {
    if (kind !== 'Deployment') continue
    for (const { secret } of spec.template.spec.volumes ?? []) {
      if (secret === undefined) continue
      const generate = parse(
        find(`Secret ${metadata.namespace}/${secret.secretName}`).metadata.annotations?.['hauberk.dev/generate'] ?? '',
      )
      for (const { key } of secret.items) assert.ok(Object.hasOwn(generate, key), key)
      assert.deepEqual(secret.items.map(({ key }: { key: string }) => key).sort(), Object.keys(generate).sort())
    }
  }
})

test('who makes the secrets may read and fill those of secrets.yaml, and nothing else', WITH_KUBECTL, () => {
  const secrets = base.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata)
  const { args } = find('Job shop-setup/make-secrets').spec.template.spec.containers[0]
  assert.deepEqual(
    args,
    secrets.map(({ namespace, name }) => `${namespace}/${name}`),
  )
  for (const namespace of ['identity', 'shop']) {
    assert.deepEqual(find(`Role ${namespace}/make-secrets`).rules, [
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: secrets.filter((one) => one.namespace === namespace).map(({ name }) => name),
        verbs: ['get', 'patch'],
      },
    ])
  }
})

test('the node ports of the gateway are those that e2e/kind.yaml leads to', WITH_KUBECTL, () => {
  const { nodes } = parse(readFileSync(join(SHOP, '../../e2e/kind.yaml'), 'utf8'))
  const mapped = nodes[0].extraPortMappings.map(({ containerPort }: { containerPort: number }) => containerPort)
  const { nodePorts } = find('GatewayParameters shop/shop').spec.service
  assert.deepEqual(
    nodePorts.map(({ nodePort }: { nodePort: number }) => nodePort),
    mapped,
  )
  const ports = find('Gateway shop/shop').spec.listeners.map(({ port }: { port: number }) => port)
  assert.deepEqual(nodePorts.map(({ port }: { port: number }) => port).sort(), ports.sort())
})
