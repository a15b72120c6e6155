import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decode } from './codec.ts'
import { gatewayBindPort, PORTS, PodSidecar, probePath } from './pod.ts'

const POD = {
  contract: 1,
  workload: 'shop/orders',
  role: 'sidecar',
  trustDomain: 'cluster.local',
  serviceAccount: 'orders',
  operator: {
    host: 'hauberk-operator.hauberk-system.svc',
    port: 15012,
    spiffeId: 'spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator',
  },
  probeKey: 'AAAAAAAAAAAAAAAAAAAAAA',
  probes: [
    {
      container: 'app',
      kind: 'readiness',
      httpGet: { path: '/ready?full=1', port: 8080, scheme: 'HTTP', httpHeaders: [{ name: 'x-a', value: 'b' }] },
      timeoutSeconds: 1,
    },
    { container: 'app', kind: 'liveness', tcpSocket: { port: 8080 }, timeoutSeconds: 1 },
    { container: 'other', kind: 'startup', grpc: { port: 9090, service: '' }, timeoutSeconds: 1 },
  ],
  exclude: { inboundPorts: [9000], outboundPorts: [], outboundCidrs: ['10.0.0.0/8', '2001:db8::/32'] },
  metrics: { allow: ['spiffe://cluster.local/ns/monitoring/sa/prometheus'], plaintext: false },
  drainSeconds: 10,
  decisionLog: 'all',
  logLevel: 'info',
}

const issuesOf = (change: object) => {
  const decoded = decode(PodSidecar, JSON.stringify({ ...POD, ...change }))
  return decoded.ok ? [] : decoded.issues.map(({ path, message }) => `${path} ${message}`.trim())
}
const probe = (change: object) => ({ probes: [{ ...POD.probes[1], ...change }] })
const httpGet = (change: object) => ({
  probes: [{ ...POD.probes[0], httpGet: { ...POD.probes[0]!.httpGet, ...change } }],
})

describe('what a sidecar is told about its pod', () => {
  it('decodes to what was written', () => {
    assert.deepEqual(decode(PodSidecar, JSON.stringify(POD)), { ok: true, value: POD })
  })

  const wrong: readonly (readonly [string, object, string])[] = [
    ['a field that it does not know', { gatewayListeners: [] }, 'gatewayListeners'],
    ['a workload without a namespace', { workload: 'orders' }, 'workload is not namespace/name'],
    ['a trust domain in upper case', { trustDomain: 'Cluster.Local' }, 'trustDomain is not a trust domain'],
    ['an excluded port that is no port', { exclude: { ...POD.exclude, inboundPorts: [70_000] } }, 'inboundPorts.0'],
    [
      'an excluded port with text in it',
      { exclude: { ...POD.exclude, outboundPorts: ['22 accept'] } },
      'outboundPorts.0',
    ],
    [
      'T08: the exclusion of the inbound port itself',
      { exclude: { ...POD.exclude, inboundPorts: [PORTS.inbound] } },
      'itself',
    ],
    [
      'T08: the exclusion of the outbound port',
      { exclude: { ...POD.exclude, inboundPorts: [PORTS.outbound] } },
      'itself',
    ],
    [
      'an excluded block with bits behind its prefix',
      { exclude: { ...POD.exclude, outboundCidrs: ['10.0.0.1/8'] } },
      'block',
    ],
    [
      'an excluded block with more behind it',
      { exclude: { ...POD.exclude, outboundCidrs: ['10.0.0.0/8 }'] } },
      'block',
    ],
    ['a probe without a handler', probe({ tcpSocket: undefined }), 'one handler'],
    ['a probe with two handlers', probe({ grpc: { port: 1, service: '' } }), 'one handler'],
    ['a hook that is no HTTP call', probe({ kind: 'preStop' }), 'hook'],
    ['a probe of a container with a slash', probe({ container: 'a/b' }), 'label'],
    ['one probe twice', { probes: [POD.probes[1], POD.probes[1]] }, 'twice'],
    ['a path that is an address', httpGet({ path: 'http://10.0.0.1/' }), 'path of a request'],
    ['a path with a line end', httpGet({ path: '/a\r\nx: y' }), 'path of a request'],
    ['a header with a line end', httpGet({ httpHeaders: [{ name: 'a', value: 'b\r\nc: d' }] }), 'field value'],
    ['probes without a key', { probeKey: undefined }, 'probeKey'],
    ['a key that can be guessed', { probeKey: 'short' }, 'not a key'],
  ]
  for (const [what, change, message] of wrong) {
    it(`refuses ${what}`, () => {
      const issues = issuesOf(change)
      assert.equal(issues.length, 1, issues.join('; '))
      assert.match(issues[0]!, new RegExp(message))
    })
  }

  it('names the place of each probe', () => {
    assert.equal(probePath('app', 'preStop'), '/app-health/app/preStop')
  })

  it('has a gateway bind low ports above 10000', () => {
    assert.deepEqual([80, 443, 1_023, 1_024, 8_080].map(gatewayBindPort), [10_080, 10_443, 11_023, 1_024, 8_080])
  })
})
