import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import type { WorkloadConfig } from '../../../contract/workload-config.ts'
import type { WorkloadId } from '../../../model/workload-id.ts'
import { encodePem } from '../../../model/x509/pem.ts'
import { createTestCa } from '../../../model/x509/testing/test-ca.ts'
import { createAcknowledgementTable } from '../../push/acknowledgements.ts'
import { createBundleHistory } from './bundle-history.ts'
import { membersOf, placeMember } from './members.ts'

const ORDERS = 'shop/orders' as WorkloadId
const GATEWAY = 'shop/gateway' as WorkloadId

function pem(name: string): string {
  return encodePem(Buffer.from(name), 'CERTIFICATE')
}

function fingerprint(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

function config(version: string, ...roots: readonly string[]): Pick<WorkloadConfig, 'version' | 'trustBundle'> {
  return { version, trustBundle: roots.map(pem) }
}

describe('the history of bundles', () => {
  it('knows what is trusted with any version that had the bundle of now, and with no other', () => {
    const history = createBundleHistory()
    history.record(new Map([[ORDERS, config('v1', 'old')]]))
    history.record(new Map([[ORDERS, config('v2', 'old', 'new')]]))
    history.record(new Map([[ORDERS, config('v3', 'old', 'new')]]))
    const both = new Set([fingerprint('old'), fingerprint('new')])
    assert.equal(history.trustedWith(ORDERS, 'v1'), undefined)
    assert.deepEqual(history.trustedWith(ORDERS, 'v2'), both)
    assert.deepEqual(history.trustedWith(ORDERS, 'v3'), both)
    assert.deepEqual(history.trustedWith(ORDERS, 'v3.1'), both, 'encoded for version 1 of the contract')
    history.record(new Map([[ORDERS, config('v4', 'new', 'old')]]))
    assert.deepEqual(history.trustedWith(ORDERS, 'v2'), both, 'another order is the same bundle')
    history.record(new Map([[ORDERS, config('v5', 'new')]]))
    assert.equal(history.trustedWith(ORDERS, 'v4'), undefined)
    assert.deepEqual(history.trustedWith(ORDERS, 'v5'), new Set([fingerprint('new')]))
    assert.equal(history.trustedWith(GATEWAY, 'v5'), undefined)
  })

  it('remembers a bounded number of versions of each workload, and none of those that are gone', () => {
    const history = createBundleHistory()
    for (let i = 0; i < 100; i += 1) history.record(new Map([[ORDERS, config(`v${i}`, 'root')]]))
    assert.equal(history.trustedWith(ORDERS, 'v0'), undefined)
    assert.ok(history.trustedWith(ORDERS, 'v99'))
    history.record(new Map())
    assert.equal(history.trustedWith(ORDERS, 'v99'), undefined)
  })
})

interface Given {
  readonly gateway?: true
  /** Pods, connected or not. */
  readonly running?: readonly string[]
}

describe('a place that says whom to trust', () => {
  it('trusts what it holds, shows nothing, and says nothing when it holds no roots', async () => {
    const [a, b] = [await createTestCa('a'), await createTestCa('b')]
    const trusts = new Set(
      [a, b].map(({ root }) => new X509Certificate(root).fingerprint256.replaceAll(':', '').toLowerCase()),
    )
    assert.deepEqual(placeMember('anchors', a.root + b.root), { name: 'anchors', trusts, root: 'none' })
    for (const nothing of [undefined, null, '', 'garbage', 1]) {
      assert.deepEqual(placeMember('anchors', nothing), { name: 'anchors', trusts: undefined, root: 'none' })
    }
  })
})

describe('the members of a mesh', () => {
  function world() {
    const acknowledgements = createAcknowledgementTable()
    const history = createBundleHistory()
    history.record(new Map([[ORDERS, config('v1', 'root')]]))
    const connect = (key: string, workload: string, pod: string, root?: string) =>
      acknowledgements.connect(key, { workload, pod, release: '1', contract: 2, since: 0, root })
    const members = (given: Given = {}) =>
      membersOf({
        translation: {
          configs: new Map([
            [ORDERS, { role: 'sidecar' } as WorkloadConfig],
            ...(given.gateway ? [[GATEWAY, { role: 'gateway' } as WorkloadConfig] as const] : []),
          ]),
          pods: new Map([
            [
              ORDERS,
              [
                { key: 'shop/orders-0', meshed: true, leaving: false },
                { key: 'shop/orders-1', meshed: true, leaving: false },
                { key: 'shop/plain', meshed: false, leaving: false },
              ],
            ],
          ]),
        },
        acknowledgements,
        history,
        isExpected: (pod) => given.running?.includes(pod) === true,
        gatewayPods: (gateway) => (gateway === GATEWAY ? ['hauberk-system/gateway-0', 'hauberk-system/gateway-1'] : []),
      })
    return { acknowledgements, connect, members }
  }

  it('are those that are connected, with what they trust and show', () => {
    const { acknowledgements, connect, members } = world()
    connect('k0', ORDERS, 'shop/orders-0', 'leaf')
    assert.deepEqual(members(), [{ name: 'pod shop/orders-0', trusts: undefined, root: 'leaf' }])
    acknowledgements.acknowledge('k0', 'config', 'v1')
    assert.deepEqual(members(), [{ name: 'pod shop/orders-0', trusts: new Set([fingerprint('root')]), root: 'leaf' }])
  })

  it('count once a pod, by the session that came last', () => {
    const { acknowledgements, connect, members } = world()
    connect('k0', ORDERS, 'shop/orders-0', 'old leaf')
    acknowledgements.acknowledge('k0', 'config', 'v1')
    connect('k1', ORDERS, 'shop/orders-0', 'new leaf')
    assert.deepEqual(members(), [{ name: 'pod shop/orders-0', trusts: undefined, root: 'new leaf' }])
  })

  it('are also pods that run and are not connected, and gateways that nobody speaks for', () => {
    const { connect, members } = world()
    connect('k0', ORDERS, 'shop/orders-0')
    const names = members({ gateway: true, running: ['shop/orders-1', 'shop/plain'] }).map(({ name }) => name)
    assert.deepEqual(names, ['pod shop/orders-0', 'pod shop/orders-1', 'gateway shop/gateway'])
    connect('k1', GATEWAY, 'hauberk-system/gateway-0')
    assert.deepEqual(
      members({ gateway: true }).map(({ name }) => name),
      ['pod shop/orders-0', 'pod hauberk-system/gateway-0'],
    )
    assert.deepEqual(
      members({ gateway: true, running: ['hauberk-system/gateway-0', 'hauberk-system/gateway-1'] }).at(-1),
      {
        name: 'pod hauberk-system/gateway-1',
        trusts: undefined,
        root: undefined,
        trouble: 'no operator hears from its container hauberk-sidecar: mend the pod, or delete it',
      },
    )
  })
})
