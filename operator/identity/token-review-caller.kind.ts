import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { parseTrustDomain } from '../../model/spiffe-id.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import type { KubernetesObject } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import type { CallerVerdict } from './caller.ts'
import { createTestNamespace, type TestNamespace } from './testing/kind-namespace.ts'
import { createTokenReviewAuthenticator } from './token-review-caller.ts'

/** Real tokens of real pods, reviewed by a real API server. Pods are made, of the smallest image that a node has. */

const AUDIENCE = 'hauberk.dev/operator'

const trustDomain = parseTrustDomain('cluster.local')
assert.ok(trustDomain.ok)
const mesh = trustDomain.value

let space: TestNamespace
let image: string

before(async () => {
  space = await createTestNamespace('idt-tokens')
  image = await smallestImage()
  for (const name of ['orders', 'payments']) await space.create({ kind: 'ServiceAccount', metadata: { name } })
})

after(async () => {
  await space?.end()
})

describe('a service-account token', () => {
  it('of a live pod, from that pod, is the pod’s service account', async () => {
    const pod = await startPod('orders-0')
    const token = await tokenFor({ pod })
    for (const address of pod.addresses) {
      for (const from of [address, address.includes(':') ? address : `::ffff:${address}`]) {
        assert.deepEqual(await ask(token, from), {
          ok: true,
          caller: {
            spiffeId: `spiffe://cluster.local/ns/${space.name}/sa/orders`,
            provenBy: 'service-account-token',
            pod: { namespace: space.name, name: 'orders-0', uid: pod.uid },
          },
        })
      }
    }
    const watched = { ...(await space.get('pods', 'orders-0')), kind: 'Pod' } as unknown as Resource
    assert.equal((await ask(token, pod.addresses[0], () => watched)).ok, true, 'as the watch has it')
  })

  it('T01: that was made for anybody else is refused', async () => {
    const pod = await startPod('audiences')
    const [address] = pod.addresses
    const { metadata } = await space.create({
      kind: 'Secret',
      metadata: { name: 'legacy', annotations: { 'kubernetes.io/service-account.name': 'orders' } },
      type: 'kubernetes.io/service-account-token',
    })
    const legacy = await space.when('secrets', metadata.name, (secret) => {
      const { token } = (secret['data'] ?? {}) as { readonly token?: string }
      return token === undefined ? undefined : Buffer.from(token, 'base64').toString('utf8')
    })
    const good = await tokenFor({ pod })
    const [header, payload, signature = ''] = good.split('.')
    const refused = {
      'of another audience': await tokenFor({ pod, audiences: ['vault'] }),
      'of the API server’s own audience': await tokenFor({ pod, audiences: [] }),
      'without an end': legacy,
      'with another signature': `${header}.${payload}.${signature.replace(/^.{8}/, 'AAAAAAAA')}`,
    }
    for (const [what, token] of Object.entries(refused)) {
      assert.deepEqual(await refusalOf(token, address), [401, 'token-refused'], what)
    }
    assert.equal((await ask(good, address)).ok, true)
    assert.equal((await ask(await tokenFor({ pod, audiences: ['vault', AUDIENCE] }), address)).ok, true)
  })

  it('T02: that is bound to no pod is refused', async () => {
    const pod = await startPod('unbound')
    await space.create({ kind: 'Secret', metadata: { name: 'bound-to' } })
    assert.deepEqual(await refusalOf(await tokenFor({}), pod.addresses[0]), [403, 'token-not-bound'])
    const toSecret = await tokenFor({ secret: 'bound-to' })
    assert.deepEqual(await refusalOf(toSecret, pod.addresses[0]), [403, 'token-not-bound'])
  })

  it('T02: from anywhere but its own pod is refused', async () => {
    const [a, b] = [await startPod('a'), await startPod('b')]
    const token = await tokenFor({ pod: a })
    assert.equal((await ask(token, a.addresses[0])).ok, true)
    for (const address of [b.addresses[0], '127.0.0.1', '::1', '192.0.2.1']) {
      assert.deepEqual(await refusalOf(token, address), [403, 'wrong-source-address'], address)
    }
  })

  it('T02: of a pod that was deleted is refused, also when there is another one of its name', async () => {
    const pod = await startPod('deleted')
    const token = await tokenFor({ pod })
    const unseen = await tokenFor({ pod })
    const watched = { ...(await space.get('pods', 'deleted')), kind: 'Pod' } as unknown as Resource
    assert.equal((await ask(token, pod.addresses[0])).ok, true)
    await space.delete('pods', 'deleted')
    await space.gone('pods', 'deleted')
    assert.deepEqual(await refusalOf(unseen, pod.addresses[0]), [403, 'token-invalidated'])
    assert.deepEqual(await refusalOf(token, pod.addresses[0]), [403, 'no-such-pod'], 'while its review is remembered')
    const again = await startPod('deleted')
    assert.deepEqual(await refusalOf(token, again.addresses[0]), [403, 'another-pod'])
    // The API server forgets the review after 10 s: then even a watch that has missed the deletion makes no difference.
    const deadline = performance.now() + 30_000
    for (;;) {
      const verdict = await ask(token, pod.addresses[0], () => watched)
      if (!verdict.ok) {
        assert.deepEqual([verdict.status, verdict.reason], [403, 'token-invalidated'])
        break
      }
      assert.ok(performance.now() < deadline, 'the API server goes on to know it')
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  })

  it('T02: of a pod that is being deleted, or is over, is refused', async () => {
    const ending = await startPod('ending', { finalizers: ['hauberk.dev/test'] })
    const token = await tokenFor({ pod: ending })
    await space.delete('pods', 'ending')
    try {
      assert.deepEqual(await refusalOf(token, ending.addresses[0]), [403, 'pod-being-deleted'])
    } finally {
      await space.client.request({
        method: 'PATCH',
        path: resourcePath({ apiVersion: 'v1', plural: 'pods', namespace: space.name, name: 'ending' }),
        contentType: 'application/merge-patch+json',
        body: { metadata: { finalizers: null } },
      })
    }
    const over = await startPod('over', {}, { activeDeadlineSeconds: 2 })
    const late = await tokenFor({ pod: over })
    await space.when('pods', 'over', ({ status }) => (phaseOf(status) === 'Failed' ? true : undefined))
    assert.deepEqual(await refusalOf(late, over.addresses[0]), [403, 'pod-ended'])
  })
})

interface Started {
  readonly name: string
  readonly uid: string
  readonly addresses: readonly string[]
}

async function startPod(name: string, metadata: object = {}, spec: object = {}): Promise<Started> {
  await space.create({
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: {
      serviceAccountName: 'orders',
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'pause', image, imagePullPolicy: 'IfNotPresent' }],
      ...spec,
    },
  })
  return space.when('pods', name, (pod) => {
    const { podIPs = [] } = (pod['status'] ?? {}) as { readonly podIPs?: readonly { readonly ip: string }[] }
    const addresses = podIPs.map(({ ip }) => ip)
    return addresses.length === 0 ? undefined : { name, uid: String(pod.metadata.uid), addresses }
  })
}

async function tokenFor(bound: {
  readonly pod?: Started
  readonly secret?: string
  readonly audiences?: readonly string[]
}): Promise<string> {
  const { pod, secret, audiences = [AUDIENCE] } = bound
  const ref =
    pod !== undefined
      ? { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid }
      : secret !== undefined
        ? { apiVersion: 'v1', kind: 'Secret', name: secret }
        : undefined
  const path = {
    apiVersion: 'v1',
    plural: 'serviceaccounts',
    namespace: space.name,
    name: 'orders',
    subresource: 'token',
  }
  const { status } = await space.client.request<{ readonly status: { readonly token: string } }>({
    method: 'POST',
    path: resourcePath(path),
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences, expirationSeconds: 600, ...(ref && { boundObjectRef: ref }) },
    },
  })
  return status.token
}

/** A new authenticator each time: what one address has asked before is another test's concern. */
function ask(
  token: string,
  remoteAddress: string | undefined,
  pod: (namespace: string, name: string) => Resource | undefined = () => undefined,
): Promise<CallerVerdict> {
  const { client } = space
  const common = { clock: systemClock, random: Math.random, log: silentLog }
  const authenticator = createTokenReviewAuthenticator({ client, trustDomain: mesh, pod, ...common })
  return authenticator.authenticate({ bearer: token, certificate: undefined, remoteAddress })
}

async function refusalOf(token: string, address: string | undefined): Promise<readonly [number, string]> {
  const verdict = await ask(token, address)
  assert.ok(!verdict.ok, JSON.stringify(verdict))
  return [verdict.status, verdict.reason]
}

function phaseOf(status: unknown): string | undefined {
  return (status as { readonly phase?: string } | undefined)?.phase
}

/** What every node has is the image of pods' own namespaces, which does nothing. */
async function smallestImage(): Promise<string> {
  const { items } = await space.client.request<{ readonly items: readonly KubernetesObject[] }>({
    path: resourcePath({ apiVersion: 'v1', plural: 'nodes' }),
  })
  type Images = { readonly images?: readonly { readonly names: readonly string[]; readonly sizeBytes: number }[] }
  const images = items.flatMap(({ status }) => (status as Images | undefined)?.images ?? [])
  const [smallest] = images.toSorted((a, b) => a.sizeBytes - b.sizeBytes)
  const name = smallest?.names.find((each) => !each.includes('@')) ?? smallest?.names[0]
  assert.ok(name, 'a node has an image')
  return name
}
