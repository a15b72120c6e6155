import fc from '#fast-check'
import { type Resource, resourceKey } from '../../../model/resource.ts'

/** The newest state of one resource, or that it is gone. */
export interface Edit {
  readonly key: string
  readonly resource: Resource | undefined
}

const OURS = 'hauberk.dev/v1alpha1'
const GATEWAY_API = 'gateway.networking.k8s.io/v1'

/**
 * Edits of a small world: two namespaces with two workloads each, their Services, pods and policies, and a gateway with
 * routes to both. With `garbage`, also resources whose `spec` is anything.
 */
export function edits({ garbage = false, namespaces = ['shop', 'lab'] } = {}): fc.Arbitrary<Edit> {
  const namespace = fc.constantFrom(...namespaces)
  const name = fc.constantFrom('a', 'b')
  const candidates: fc.Arbitrary<Resource>[] = [
    fc.tuple(namespace, name, fc.constantFrom(8080, 9090)).map(([ns, app, port]) =>
      resource('apps/v1', 'Deployment', ns, app, {
        template: {
          metadata: { labels: { app }, annotations: { 'hauberk.dev/outbound': 'lab/a, nowhere/x' } },
          spec: {
            serviceAccountName: app,
            containers: [{ ports: [{ containerPort: port }, { containerPort: 5432 }] }],
          },
        },
      }),
    ),
    fc
      .tuple(namespace, name, fc.constantFrom('http', 'tcp', 'postgres'), fc.constantFrom(80, 8080))
      .map(([ns, app, port, number]) =>
        resource('v1', 'Service', ns, app, {
          selector: { app },
          ports: [{ name: port, port: number, targetPort: 8080 }],
        }),
      ),
    fc
      .tuple(namespace, name, fc.constantFrom('1', '2'), fc.constantFrom('True', 'False'), fc.boolean())
      .map(([ns, app, replica, status, meshed]) => ({
        ...resource('v1', 'Pod', ns, `${app}-${replica}`, {
          serviceAccountName: app,
          containers: [{ ports: [{ containerPort: 8080 }] }],
        }),
        metadata: {
          name: `${app}-${replica}`,
          namespace: ns,
          labels: { app },
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: app }],
          ...(meshed && { annotations: { 'hauberk.dev/local-ports': '{"8080": 31000}' } }),
        },
        status: { podIP: '127.0.0.1', conditions: [{ type: 'Ready', status }] },
      })),
    fc
      .tuple(namespace, fc.constantFrom('p', 'q', 'r'), policySpec())
      .map(([ns, policy, spec]) => resource(OURS, 'SecurityPolicy', ns, policy, spec)),
    fc
      .tuple(namespace, fc.constantFrom('s', 't'), trafficPolicySpec())
      .map(([ns, policy, spec]) => resource(OURS, 'TrafficPolicy', ns, policy, spec)),
    fc.constantFrom('east', 'west').map((zone) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace: 'shop', name: 'a-x' },
      endpoints: [{ zone, targetRef: { kind: 'Pod', name: 'a-1' } }],
    })),
    fc
      .tuple(fc.constantFrom('m', 'n'), meshPolicySpec())
      .map(([policy, spec]) => resource(OURS, 'MeshSecurityPolicy', undefined, policy, spec)),
    fc
      .constantFrom({}, { authorization: { default: 'Allow' } }, { requestTimeout: '5s', trustedHops: 1 })
      .map((spec) => resource(OURS, 'MeshConfig', undefined, 'default', spec)),
    fc.constantFrom({ names: ['shop'] }, { selector: { matchLabels: { tier: 'x' } } }, undefined).map((allowed) =>
      resource(OURS, 'TokenIssuer', undefined, 'corp', {
        issuer: 'https://corp.example',
        audiences: ['shop'],
        jwks: { uri: 'https://corp.example/jwks' },
        ...(allowed && { allowedNamespaces: allowed }),
      }),
    ),
    fc.tuple(namespace, fc.constantFrom({}, { tier: 'x' })).map(([ns, labels]) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: ns, labels },
    })),
    fc.constant(
      resource(GATEWAY_API, 'GatewayClass', undefined, 'hauberk', { controllerName: 'hauberk.dev/gateway-controller' }),
    ),
    fc.tuple(fc.constantFrom('All', 'Same'), fc.boolean()).map(([from, parametrised]) =>
      resource(GATEWAY_API, 'Gateway', 'shop', 'edge', {
        gatewayClassName: 'hauberk',
        ...(parametrised && {
          infrastructure: { parametersRef: { group: 'hauberk.dev', kind: 'GatewayParameters', name: 'p' } },
        }),
        listeners: [
          { name: 'http', port: 80, protocol: 'HTTP', allowedRoutes: { namespaces: { from } } },
          {
            name: 'tls',
            port: 443,
            protocol: 'TLS',
            tls: { mode: 'Passthrough' },
            allowedRoutes: { namespaces: { from } },
          },
        ],
      }),
    ),
    fc.constantFrom({}, { replicas: 3 }).map((spec) => resource(OURS, 'GatewayParameters', 'shop', 'p', spec)),
    fc
      .tuple(
        namespace,
        name,
        fc.constantFrom('/', '/x'),
        fc.constantFrom(...namespaces),
        fc.subarray([
          { name: 'edge', namespace: 'shop' },
          { group: '', kind: 'Service', name: 'a' },
          { group: '', kind: 'Service', name: 'a', namespace: 'lab', port: 80 },
        ]),
      )
      .map(([ns, route, path, backend, parentRefs]) =>
        resource(GATEWAY_API, 'HTTPRoute', ns, route, {
          parentRefs,
          rules: [
            {
              name: 'one',
              matches: [{ path: { value: path } }],
              backendRefs: [{ name: 'a', namespace: backend, port: 80 }],
            },
          ],
        }),
      ),
    fc
      .tuple(namespace, name, fc.subarray(['a.example', '*.example', 'b.test'], { minLength: 1 }))
      .map(([ns, route, hostnames]) =>
        resource(GATEWAY_API, 'TLSRoute', ns, route, {
          parentRefs: [{ name: 'edge', namespace: 'shop' }],
          hostnames,
          rules: [{ name: 'one', backendRefs: [{ name: 'a', namespace: 'shop', port: 5432 }] }],
        }),
      ),
    namespace.map((ns) =>
      resource('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', ns, 'g', {
        from: namespaces.map((each) => ({ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: each })),
        to: [{ group: '', kind: 'Service' }],
      }),
    ),
  ]
  const sound = fc.oneof(...candidates)
  const state = garbage
    ? fc.oneof(
        sound,
        fc.tuple(sound, garbageFor()).map(([each, spec]) => ({ ...each, spec })),
      )
    : sound
  return fc.tuple(state, fc.integer({ min: 0, max: 4 })).map(([each, fate]) => {
    const key = resourceKey(each.kind, each.metadata.namespace, each.metadata.name)
    return { key, resource: fate === 0 ? undefined : each }
  })
}

/** What is there after these edits, in the order that they came. */
export function afterEdits(made: readonly Edit[]): readonly Resource[] {
  const resources = new Map<string, Resource>()
  for (const { key, resource: next } of made) {
    if (next === undefined) resources.delete(key)
    else resources.set(key, next)
  }
  return [...resources.values()]
}

function trafficPolicySpec(): fc.Arbitrary<object> {
  return fc.record(
    {
      targetRefs: fc.constantFrom(
        [{ kind: 'Service', name: 'a' }],
        [{ kind: 'Service', name: 'a', sectionName: 'http' }],
        [
          { kind: 'Service', name: 'b' },
          { kind: 'Service', name: 'nobody' },
        ],
      ),
      timeouts: fc.constantFrom({ request: '5s' }, { request: '1s', try: '2s' }, { connect: '100ms' }),
      retry: fc.constantFrom({}, { statusCodes: [503], conditions: ['Timeout' as const] }),
      outlierEjection: fc.constantFrom({}, { serverErrors: 1 }),
      loadBalancing: fc.constantFrom({ zonePreference: {} }, { hash: { header: 'X' } }, { warmUp: '10s' }),
    },
    { requiredKeys: ['targetRefs'] },
  )
}

/** A SecurityPolicy that is valid, of every section that decides about a request. */
export function policySpec(): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  const target = fc.oneof(
    fc.constantFrom('a', 'b', 'missing').map((name) => ({ kind: 'Service', name })),
    fc.constant({ kind: 'Service', name: 'a', sectionName: 'http' }),
    fc.constantFrom({}, { matchLabels: { app: 'a' } }).map((selector) => ({ kind: 'Pod', selector })),
    fc.constant({ kind: 'Gateway', name: 'edge' }),
    fc.constantFrom('a', 'b').map((name) => ({ kind: 'HTTPRoute', name })),
    fc.constant({ kind: 'HTTPRoute', name: 'a', sectionName: 'one' }),
    fc.constantFrom('a', 'b').map((name) => ({ kind: 'TLSRoute', name })),
  )
  return fc
    .tuple(
      fc.array(target, { minLength: 1, maxLength: 2 }),
      fc.constantFrom('Enforce', 'Enforce', 'DryRun', 'Off', undefined),
      sections(),
    )
    .map(([targetRefs, mode, spec]) => ({ targetRefs, ...(mode && { mode }), ...spec }))
}

export function meshPolicySpec(): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  return fc.record(
    {
      namespaceSelector: fc.constantFrom({}, { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } }),
      roles: fc.constantFrom(['Sidecar'], ['Gateway'], ['Sidecar', 'Gateway']),
      mode: fc.constantFrom('Enforce', 'DryRun', 'Off'),
      floor: sections(),
      defaults: sections(),
    },
    { requiredKeys: [] },
  )
}

export function sections(): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  const from = fc.constantFrom(
    { serviceAccounts: ['shop/b'] },
    { namespaces: ['lab'] },
    { ipBlocks: ['192.0.2.0/24'] },
    { issuers: ['corp'] },
  )
  const to = fc.constantFrom({ methods: ['POST'] }, { paths: ['/x/{**}', '/users/{id}'] }, { ports: [8080] })
  const when = fc.constantFrom(
    { when: "request.method == 'GET'" },
    { to: { paths: ['/users/{id}'] }, when: "path.id == 'a'" },
    {},
  )
  const rule = (name: string) =>
    fc.tuple(fc.record({ from, to }, { requiredKeys: [] }), when).map(([words, more]) => ({ name, ...words, ...more }))
  const rules = (name: string) =>
    fc.tuple(rule(`${name}-1`), rule(`${name}-2`)).chain((both) => fc.subarray(both, { minLength: 1 }))
  return fc.record(
    {
      mtls: fc.constantFrom({ mode: 'Strict' }, { mode: 'Permissive' }, { ports: [{ port: 8080, mode: 'Disabled' }] }),
      authentication: fc.constantFrom(
        { jwt: { required: true, issuers: [{ name: 'corp' }] } },
        { jwt: { required: false, issuers: [{ name: 'corp' }] } },
      ),
      authorization: fc.record({ deny: rules('d'), allow: rules('a') }, { requiredKeys: [] }),
      cors: fc.constant({ allowOrigins: ['https://shop.example'] }),
    },
    { requiredKeys: [] },
  )
}

function garbageFor(): fc.Arbitrary<unknown> {
  const keys = [
    'targetRefs',
    'rules',
    'listeners',
    'ports',
    'template',
    'spec',
    'authorization',
    'floor',
    'from',
    'name',
    'matches',
  ]
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, 0, -1, 'x', '', true, '../..', '__proto__', 1e21),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 4 }),
    ),
  })).value
}

function resource(
  apiVersion: string,
  kind: string,
  namespace: string | undefined,
  name: string,
  spec: unknown,
): Resource {
  return { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) }, spec }
}
