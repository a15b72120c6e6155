import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { RequestView } from '../../model/request.ts'
import type { Resource } from '../../model/resource.ts'
import { requestOf } from '../../policies/testing/request.ts'
import { type CompileDeps, compile } from '../../sidecar/compile/compile.ts'
import { decide } from '../../sidecar/compile/decide.ts'
import type { Chain, Pipeline } from '../../sidecar/compile/pipeline.ts'
import { meshPolicySpec, policySpec } from './testing/arbitrary-world.ts'
import { translateAll } from './testing/world.ts'
import type { Translation } from './translate.ts'

/**
 * Architecture, rule 1: an error may only make it stricter. Whatever field of an enforced policy is broken, and whatever
 * it refers to is taken away, no request that was refused gets through; asked of translate, compile and decide together.
 */
describe('stricter only', () => {
  it('breaking any field of an enforced SecurityPolicy opens nothing', async () => {
    await fc.assert(
      fc.asyncProperty(worldWith(policySpec(), securityPolicy), broken(), async (world, wrong) => {
        const spoilt = spoil(world.policy, wrong)
        const after = translateAll([...world.others, spoilt])
        assert.equal(
          after.reports.get('SecurityPolicy/shop/p')?.accepted?.reason,
          'Invalid',
          JSON.stringify(spoilt.spec),
        )
        await opensNothing(translateAll([...world.others, world.policy]), after)
      }),
      { numRuns: 300 },
    )
  })

  it('breaking any field of an enforced MeshSecurityPolicy opens nothing', async () => {
    await fc.assert(
      fc.asyncProperty(worldWith(meshPolicySpec(), meshPolicy), broken(), async (world, wrong) => {
        const spoilt = spoil(world.policy, wrong)
        const after = translateAll([...world.others, spoilt])
        assert.equal(
          after.reports.get('MeshSecurityPolicy/p')?.accepted?.reason,
          'Invalid',
          JSON.stringify(spoilt.spec),
        )
        await opensNothing(translateAll([...world.others, world.policy]), after)
      }),
      { numRuns: 300 },
    )
  })

  it('a TokenIssuer that goes away, breaks or shuts out a namespace opens nothing', async () => {
    const fates: readonly ((issuer: Resource) => Resource[])[] = [
      () => [],
      (issuer) => [{ ...issuer, spec: { ...(issuer.spec as object), audiences: [] } }],
      (issuer) => [{ ...issuer, spec: { ...(issuer.spec as object), allowedNamespaces: { names: ['other'] } } }],
    ]
    await fc.assert(
      fc.asyncProperty(worldWith(policySpec(), securityPolicy), fc.constantFrom(...fates), async (world, fate) => {
        const all = [...world.others, world.policy]
        const issuers = all.filter(({ kind }) => kind === 'TokenIssuer')
        const rest = all.filter(({ kind }) => kind !== 'TokenIssuer')
        await opensNothing(translateAll(all), translateAll([...rest, ...issuers.flatMap(fate)]))
      }),
      { numRuns: 200 },
    )
  })
})

interface World {
  /** The one that is broken. */
  readonly policy: Resource
  readonly others: readonly Resource[]
}

/** `shop/a` with an HTTP and a TCP port and a route at a gateway, and besides the policy one that lets everybody in. */
function worldWith(
  spec: fc.Arbitrary<Readonly<Record<string, unknown>>>,
  make: (spec: unknown) => Resource,
): fc.Arbitrary<World> {
  return fc.tuple(spec, fc.constantFrom('Deny', 'Allow'), fc.boolean()).map(([written, byDefault, isOpen]) => ({
    policy: make({ ...written, mode: 'Enforce' }),
    others: [
      ...SURROUNDINGS,
      ours('MeshConfig', undefined, 'default', { authorization: { default: byDefault } }),
      ...(isOpen ? [ours('SecurityPolicy', 'shop', 'open', OPEN)] : []),
    ],
  }))
}

const OPEN = {
  targetRefs: [
    { kind: 'Pod', selector: {} },
    { kind: 'Gateway', name: 'edge' },
  ],
  authorization: { allow: [{ name: 'everybody' }] },
}

const SURROUNDINGS: readonly Resource[] = [
  other('apps/v1', 'Deployment', 'shop', 'a', {
    template: {
      metadata: { labels: { app: 'a' } },
      spec: { containers: [{ ports: [{ containerPort: 8080 }, { containerPort: 5432 }] }] },
    },
  }),
  other('v1', 'Service', 'shop', 'a', {
    selector: { app: 'a' },
    ports: [
      { name: 'http', port: 8080 },
      { name: 'postgres', port: 5432 },
    ],
  }),
  other('gateway.networking.k8s.io/v1', 'GatewayClass', undefined, 'hauberk', {
    controllerName: 'hauberk.dev/gateway-controller',
  }),
  other('gateway.networking.k8s.io/v1', 'Gateway', 'shop', 'edge', {
    gatewayClassName: 'hauberk',
    listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
  }),
  other('gateway.networking.k8s.io/v1', 'HTTPRoute', 'shop', 'a', {
    parentRefs: [{ name: 'edge' }],
    rules: [{ name: 'one', backendRefs: [{ name: 'a', port: 8080 }] }],
  }),
  ours('TokenIssuer', undefined, 'corp', {
    issuer: 'https://corp.example',
    audiences: ['shop'],
    jwks: { uri: 'https://corp.example/jwks' },
  }),
]

const CALLERS = [undefined, 'shop/b', 'lab/a'].map((from) =>
  from ? `spiffe://cluster.local/ns/${from.replace('/', '/sa/')}` : undefined,
)

const REQUESTS: readonly RequestView[] = CALLERS.flatMap((from) =>
  ['GET', 'POST'].flatMap((method) =>
    ['/', '/x/1', '/users/a', '/users/b'].map((path) =>
      requestOf({ method, path, port: 8080, host: 'a.shop', ...(from && { from }) }),
    ),
  ),
)

const CONNECTIONS: readonly RequestView[] = CALLERS.map((from) =>
  requestOf({ protocol: 'tcp', method: '', path: '', host: '', port: 5432, ...(from && { from }) }),
)

const COMPILE_DEPS: CompileDeps = {
  clock: { now: () => 0, monotonic: () => 0 },
  crypto: { sha256: (text) => text, importJwk: () => undefined, verify: () => false },
  keys: { generation: 0, keysOf: () => undefined, refresh: async () => {} },
  count: () => {},
}

async function opensNothing(before: Translation, after: Translation): Promise<void> {
  const [was, is] = [await answers(before), await answers(after)]
  assert.deepEqual([...is.keys()], [...was.keys()])
  for (const [what, verdict] of was) {
    if (verdict !== 'continue') assert.notEqual(is.get(what), 'continue', what)
  }
}

/** What becomes of every request at the sidecar and at the gateway, and of every connection to the TCP port. */
async function answers(translation: Translation): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  const ask = async (place: string, chain: Chain | undefined, request: RequestView) => {
    const { verdict } = chain === undefined ? { verdict: { kind: 'no route' } } : await decide(chain, request, {})
    found.set(`${place} ${request.method} ${request.path} ${request.peer.spiffeId}`, verdict.kind)
  }
  for (const [id, config] of translation.configs) {
    const compiled = compile(config, undefined, COMPILE_DEPS)
    assert.ok(compiled.ok, JSON.stringify(compiled))
    const { inbound, gateway }: Pipeline = compiled.value
    for (const { listener, route, tcp } of inbound.values()) {
      if (listener.protocol === 'tcp') for (const each of CONNECTIONS) await ask(`${id} tcp`, tcp, each)
      else for (const each of REQUESTS) await ask(`${id} ${listener.port}`, route(each)?.chain, each)
    }
    for (const { route } of gateway.values()) for (const each of REQUESTS) await ask(id, route(each)?.chain, each)
  }
  return found
}

interface Wrong {
  /** Which field, as a share of all there are. */
  readonly place: number
  /** Undefined: what the schema takes and the section does not, where there is a field for that. */
  readonly value: unknown
}

/** Of the right type, and wrong all the same: only the section's review can tell. */
const ILL_WRITTEN: Readonly<Record<string, unknown>> = {
  when: 'request.method ==',
  paths: ['/a/../b'],
  ipBlocks: ['192.0.2.1/24'],
}

/** Of no type that a field has, or with a member that no object has. */
function broken(): fc.Arbitrary<Wrong> {
  return fc.record({
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    value: fc.oneof(
      fc.constant(undefined),
      fc.constantFrom<unknown>(null, -1.5, '\u0000', { 'no such field': 1 }, [{ 'no such field': 1 }]),
    ),
  })
}

/** The policy with one of its fields (an object or a list counts as one too) replaced by what it cannot be. */
function spoil(policy: Resource, { place, value }: Wrong): Resource {
  const all = pathsOf(policy.spec, [])
  const delicate = all.filter((path) => Object.hasOwn(ILL_WRITTEN, String(path.at(-1))))
  const paths = value === undefined && delicate.length > 0 ? delicate : all
  const path = paths[Math.floor(place * paths.length)] ?? []
  const by = value === undefined ? (ILL_WRITTEN[String(path.at(-1))] ?? null) : value
  return { ...policy, spec: replaced(policy.spec, path, by) }
}

function pathsOf(value: unknown, path: readonly (string | number)[]): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return []
  const members = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  return members.flatMap(([key, member]) => [[...path, key], ...pathsOf(member, [...path, key])])
}

function replaced(value: unknown, [key, ...rest]: readonly (string | number)[], by: unknown): unknown {
  if (key === undefined) return by
  if (Array.isArray(value)) return value.map((item, i) => (i === key ? replaced(item, rest, by) : item))
  return { ...(value as object), [key]: replaced((value as Record<string, unknown>)[key], rest, by) }
}

function securityPolicy(spec: unknown): Resource {
  return ours('SecurityPolicy', 'shop', 'p', spec)
}

function meshPolicy(spec: unknown): Resource {
  return ours('MeshSecurityPolicy', undefined, 'p', spec)
}

function ours(kind: string, namespace: string | undefined, name: string, spec: unknown): Resource {
  return other('hauberk.dev/v1alpha1', kind, namespace, name, spec)
}

function other(apiVersion: string, kind: string, namespace: string | undefined, name: string, spec: unknown): Resource {
  return { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) }, spec }
}
