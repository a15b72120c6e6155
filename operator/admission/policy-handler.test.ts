import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Filter } from '../../model/filter.ts'
import type { Resource } from '../../model/resource.ts'
import { fail, issue } from '../../model/result.ts'
import { FILTERS } from '../../policies/filters.ts'
import { systemClock } from '../../runtime/clock.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { DEPS, resourcesIn } from '../translate/testing/world.ts'
import { translate } from '../translate/translate.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { createPolicyHandler } from './policy-handler.ts'

const WORLD = resourcesIn(`
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  template:
    metadata: {labels: {app: orders}}
    spec: {serviceAccountName: orders, containers: [{name: app, ports: [{containerPort: 8080}]}]}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp}
spec:
  issuer: https://corp.example
  audiences: [shop]
  jwks: {inline: {keys: [{kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}]}}
---
apiVersion: hauberk.dev/v1alpha1
kind: MeshSecurityPolicy
metadata: {name: baseline}
spec:
  floor: {mtls: {mode: Strict}, authentication: {jwt: {onlyIssuers: [corp]}}}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: tokens, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: orders}]
  authentication: {jwt: {required: true, issuers: [{name: corp}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: edge}
spec: {gatewayClassName: hauberk, listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec: {parentRefs: [{name: front, namespace: edge}], rules: [{backendRefs: [{name: orders, port: 80}]}]}
`)

function ask(
  object: unknown,
  {
    world = WORLD,
    filters = FILTERS,
    ...rest
  }: Partial<AdmissionRequest> & { readonly world?: readonly Resource[]; readonly filters?: readonly Filter[] } = {},
) {
  const snapshot = snapshotOf(world)
  const translation = translate(snapshot, DEPS)
  const handler = createPolicyHandler({
    snapshot: () => snapshot,
    translation: () => translation,
    roots: () => DEPS.mesh.roots,
    clock: systemClock,
    filters,
  })
  const answer = handler({
    uid: '1',
    kind: { group: 'hauberk.dev', version: 'v1alpha1', kind: String((object as Resource | null)?.kind) },
    subResource: '',
    name: (object as Resource | null)?.metadata.name ?? '',
    namespace: (object as Resource | null)?.metadata.namespace ?? '',
    operation: 'CREATE',
    user: 'alice',
    isDryRun: false,
    object,
    oldObject: null,
    ...rest,
  })
  const line = ({ code, path }: { readonly code: string; readonly path: string }) => `${code} ${path}`.trim()
  return { refused: answer.allowed ? [] : answer.issues.map(line), warned: answer.warnings.map(line), answer }
}

function policy(spec: object, metadata: object = {}): Resource {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name: 'new', namespace: 'shop', ...metadata },
    spec: { targetRefs: [{ kind: 'Service', name: 'orders' }], ...spec },
  }
}

function cluster(kind: string, spec: object): Resource {
  return { apiVersion: 'hauberk.dev/v1alpha1', kind, metadata: { name: 'new' }, spec }
}

const READS = {
  authorization: { allow: [{ name: 'reads', from: { serviceAccounts: ['web'] }, to: { methods: ['GET'] } }] },
}
const NOTHING = { refused: [], warned: [] }

function judgedAs({ refused, warned }: ReturnType<typeof ask>) {
  return { refused, warned }
}

describe('the review of a policy', () => {
  it('finds nothing in a sound one', () => {
    assert.deepEqual(judgedAs(ask(policy(READS))), NOTHING)
    for (const resource of WORLD) assert.deepEqual(judgedAs(ask(resource)), NOTHING)
  })

  it('refuses with the path what its schema, its rules or its sections do not take', () => {
    const bad = policy({ mtls: { mode: 'strict' }, authorisation: {} })
    assert.deepEqual(ask(bad).refused, ['unknown-field spec.authorisation', 'enum spec.mtls.mode'])
    assert.deepEqual(ask(policy({ targetRefs: [{ kind: 'Pod' }] })).refused, ['rule spec.targetRefs[0]'])
    const broken = policy({ authorization: { allow: [{ name: 'a', when: 'claims.sub ==' }] } })
    assert.deepEqual(ask(broken).refused, ['malformed-when spec.authorization.allow[0].when'])
    const twice = cluster('MeshSecurityPolicy', {
      floor: {
        mtls: {
          ports: [
            { port: 80, mode: 'Strict' },
            { port: 80, mode: 'Disabled' },
          ],
        },
      },
    })
    assert.deepEqual(ask(twice).refused, ['duplicate-port spec.floor.mtls.ports[1].port'])
    assert.deepEqual(ask(cluster('TokenIssuer', { issuer: 'x', audiences: ['a'] })).refused, ['rule spec'])
  })

  it('warns of what is missing, which may come with the same apply', () => {
    const early = policy({
      targetRefs: [
        { kind: 'Service', name: 'later' },
        { kind: 'Service', name: 'orders' },
      ],
      authorization: { allow: [{ name: 'a', from: { issuers: ['unknown'] } }] },
    })
    const { refused, warned } = ask(early)
    assert.deepEqual(refused, [])
    assert.deepEqual(warned, [
      'target-not-found spec.targetRefs',
      'unresolved-token-issuer spec.authorization.allow[0].from.issuers[0]',
    ])
    assert.deepEqual(judgedAs(ask(policy(READS), { world: [] })), {
      refused: [],
      warned: ['target-not-found spec.targetRefs'],
    })
  })

  it('refuses a policy that asks for less than the floor, unless it is tried only', () => {
    const open = { mtls: { mode: 'Permissive' } }
    assert.deepEqual(ask(policy(open)).refused, ['weakens-floor spec.mtls'])
    assert.deepEqual(judgedAs(ask(policy({ ...open, mode: 'DryRun' }))), {
      refused: [],
      warned: ['weakens-floor spec.mtls'],
    })
    assert.deepEqual(judgedAs(ask(policy({ ...open, mode: 'Off' }))), NOTHING)
    const foreign = policy({ authentication: { jwt: { issuers: [{ name: 'own' }] } } })
    assert.deepEqual(ask(foreign).refused, ['weakens-floor spec.authentication.jwt.issuers'])
    const exempt = policy({ authentication: { exempt: [{ paths: ['/health'] }] } })
    assert.deepEqual(ask(exempt).refused, ['weakens-floor spec.authentication.exempt'])
  })

  it('takes a floor that overrides policies that are there, and lets these be labelled', () => {
    const lax = policy({ mtls: { mode: 'Permissive' } }, { name: 'lax' })
    const floor = cluster('MeshSecurityPolicy', { floor: { mtls: { mode: 'Strict' } } })
    const world = [...WORLD.filter(({ kind }) => kind !== 'MeshSecurityPolicy'), lax]
    assert.deepEqual(judgedAs(ask(lax, { world })), NOTHING)
    assert.deepEqual(judgedAs(ask(floor, { world })), NOTHING)
    const labelled = { ...lax, metadata: { ...lax.metadata, labels: { team: 'a' } } }
    const change = { operation: 'UPDATE', oldObject: lax, world: [...world, floor] } as const
    assert.deepEqual(judgedAs(ask(labelled, change)), NOTHING)
    const edited = policy({ mtls: { mode: 'Permissive' }, ...READS }, { name: 'lax' })
    assert.deepEqual(ask(edited, change).refused, ['weakens-floor spec.mtls'])
  })

  it('refuses what the filters of a sidecar would refuse, and only because of this policy', () => {
    const authorization = FILTERS.find(({ name }) => name === 'authorization') as Filter
    const picky: Filter = {
      ...authorization,
      compile: () => fail(issue('does-not-compile', 'allow[0]', 'is too much')),
    }
    const filters = FILTERS.map((filter) => (filter === authorization ? picky : filter))
    const { refused, answer } = ask(policy(READS), { filters })
    assert.deepEqual(refused, ['refused-by-sidecar spec'])
    assert.match(
      answer.allowed ? '' : (answer.issues[0]?.message ?? ''),
      /^authorization would be refused by sidecars: allow\[0\]/,
    )
    const beside = [...WORLD, policy(READS, { name: 'other' })]
    assert.deepEqual(judgedAs(ask(policy({ mtls: { mode: 'Strict' } }), { filters, world: beside })), NOTHING)
  })

  it('refuses policies of gateways and routes by what they come to there', () => {
    const atRoute = (spec: object) => policy({ targetRefs: [{ kind: 'HTTPRoute', name: 'shop' }], ...spec })
    assert.deepEqual(judgedAs(ask(atRoute({ cors: { allowOrigins: ['https://shop.example'] } }))), NOTHING)
    assert.deepEqual(ask(atRoute({ mtls: { mode: 'Strict' } })).warned, ['not-applied spec'])
    assert.deepEqual(ask(policy({ targetRefs: [{ kind: 'HTTPRoute', name: 'other' }], ...READS })).warned, [
      'target-not-found spec.targetRefs',
    ])
  })

  it('refuses secrets that stand in a policy, also where the schema has dropped them', () => {
    const pem = '-----BEGIN PRIVATE KEY-----'
    const named = policy({ ...READS, authorization: { allow: [{ name: 'a', when: `claims.sub == '${pem}'` }] } })
    assert.deepEqual(ask(named).refused, ['inline-secret spec.authorization.allow[0].when'])
    const key = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
    const spec = (keys: readonly object[]) => ({ issuer: 'https://a', audiences: ['b'], jwks: { inline: { keys } } })
    const applied = JSON.stringify({ spec: spec([{ ...key, d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A' }]) })
    const issuer = cluster('TokenIssuer', spec([key]))
    const leaking = {
      ...issuer,
      metadata: { name: 'new', annotations: { 'kubectl.kubernetes.io/last-applied-configuration': applied } },
    }
    assert.deepEqual(judgedAs(ask(issuer)), NOTHING)
    assert.deepEqual(ask(leaking).refused, ['inline-secret spec.jwks.inline.keys[0].d'])
    assert.deepEqual(ask(leaking, { operation: 'UPDATE', oldObject: issuer }).refused, [
      'inline-secret spec.jwks.inline.keys[0].d',
    ])
    assert.deepEqual(judgedAs(ask(leaking, { operation: 'UPDATE', oldObject: leaking })), NOTHING)
    const withPassword = cluster('TokenIssuer', {
      issuer: 'https://a:hunter2@b',
      audiences: ['b'],
      jwks: { inline: { keys: [key] } },
    })
    assert.deepEqual(ask(withPassword).refused, ['inline-secret spec.issuer'])
  })

  it('judges MeshConfig by what it cannot read of it', () => {
    const named = (spec: object) => ({ ...cluster('MeshConfig', spec), metadata: { name: 'default' } })
    assert.deepEqual(
      judgedAs(ask(named({ optOuts: [{ name: 'a', namespaces: ['shop'], allow: ['HostNetwork'] }] }))),
      NOTHING,
    )
    assert.deepEqual(ask(named({ optOuts: [{ name: 'a', namespaces: ['shop'], allow: ['Everything'] }] })).refused, [
      'enum spec.optOuts[0].allow[0]',
    ])
    assert.deepEqual(ask(cluster('MeshConfig', {})).warned, ['not-the-default metadata.name'])
  })

  it('warns whoever deletes what others use, and names nobody', () => {
    const gone = (kind: string, name: string) => {
      return ask(null, { operation: 'DELETE', name, kind: { group: '', version: '', kind } }).answer
    }
    assert.deepEqual(
      gone('TokenIssuer', 'corp').warnings.map(({ message }) => message),
      ['is used by 1 workload: its tokens will be refused'],
    )
    assert.deepEqual(
      gone('GatewayClass', 'hauberk').warnings.map(({ message }) => message),
      ['is used by 1 Gateway: it will be served no more'],
    )
    assert.deepEqual(gone('TokenIssuer', 'unused'), { allowed: true, warnings: [] })
  })

  it('has nothing to say of statuses and of kinds that are not ours', () => {
    assert.deepEqual(judgedAs(ask(policy({ nonsense: true }), { subResource: 'status', operation: 'UPDATE' })), NOTHING)
    assert.deepEqual(judgedAs(ask({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } })), NOTHING)
  })
})
