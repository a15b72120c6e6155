import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { PORTS, SELF_ADDRESS, SIDECAR_UID } from '../../contract/pod.ts'
import { captureRuleset } from './ruleset.ts'
import { type Agent, createNetwork, type Network, noNetwork } from './testing/network.ts'

const APP_UID = 1_000
const skip = noNetwork() ?? false

describe('captured traffic in a real network namespace', { skip }, () => {
  const EXCLUDE = { inboundPorts: [9_000], outboundPorts: [5_432], outboundCidrs: ['198.18.77.9', 'fd00:77::9'] }
  let network: Network
  let app: Agent
  let sidecar: Agent
  let outside: Agent

  before(async () => {
    network = createNetwork()
    app = network.agent('pod', APP_UID)
    sidecar = network.agent('pod', SIDECAR_UID)
    outside = network.agent('outside', 0)
    for (const port of [8_080, 9_000, PORTS.outbound]) await outside.listen(port, '::')
    await outside.listen(5_432, '::')
    for (const port of [8_080, 9_000]) await app.listen(port, '::')
    await app.listen(7_000, '127.0.0.1')
    const applied = network.runInPod(['nft', '-f', '-'], captureRuleset(EXCLUDE))
    assert.deepEqual(applied, { output: '', code: 0 })
  })

  after(() => network.close())

  const families = ['IPv4', 'IPv6'] as const

  for (const [i, family] of families.entries()) {
    it(`T07 T09: before there is a sidecar, calls in and out over ${family} are refused`, async () => {
      assert.equal(await outside.dial(network.podIps[i]!, 8_080), 'ECONNREFUSED')
      assert.equal(await app.dial(network.outsideIps[i]!, 8_080), 'ECONNREFUSED')
      assert.equal(await app.dial(network.outsideIps[i]!, PORTS.outbound), 'ECONNREFUSED')
    })
  }

  it('applies to the same rules again and to others', () => {
    const again = network.runInPod(['nft', '-f', '-'], captureRuleset(EXCLUDE))
    assert.deepEqual(again, { output: '', code: 0 })
    const before = network.runInPod(['nft', 'list', 'ruleset']).output
    network.runInPod(['nft', '-f', '-'], captureRuleset({ inboundPorts: [1], outboundPorts: [], outboundCidrs: [] }))
    network.runInPod(['nft', '-f', '-'], captureRuleset(EXCLUDE))
    assert.equal(network.runInPod(['nft', 'list', 'ruleset']).output, before)
  })

  describe('with a sidecar', () => {
    before(async () => {
      await sidecar.listen(PORTS.inbound, '::')
      await sidecar.listen(PORTS.outbound, '127.0.0.1')
      await sidecar.listen(PORTS.outbound, '::1')
      await sidecar.listen(PORTS.probes, '::')
    })

    for (const [i, family] of families.entries()) {
      const podIp = () => network.podIps[i]!
      const peerIp = () => network.outsideIps[i]!
      const loopback = i === 0 ? '127.0.0.1' : '::1'

      it(`T07: what comes in over ${family} arrives at the sidecar, whatever port it is for`, async () => {
        for (const port of [8_080, 1, 22, 65_535])
          assert.equal(await outside.dial(podIp(), port), '15006', `port ${port}`)
      })

      it(`T10: from outside over ${family} neither the outbound nor the admin port is reached`, async () => {
        for (const port of [PORTS.outbound, PORTS.inbound, PORTS.admin]) {
          assert.equal(await outside.dial(podIp(), port), '15006', `port ${port}`)
        }
      })

      it(`what goes out over ${family} arrives at the sidecar, and what the sidecar sends goes on`, async () => {
        assert.equal(await app.dial(peerIp(), 8_080), '15001')
        assert.equal(await sidecar.dial(peerIp(), 8_080), '8080')
      })

      it(`leaves excluded ports and the probe port alone over ${family}`, async () => {
        assert.equal(await outside.dial(podIp(), 9_000), '9000')
        assert.equal(await outside.dial(podIp(), PORTS.probes), '15020')
        assert.equal(await app.dial(peerIp(), 5_432), '5432')
      })

      it(`leaves excluded blocks alone over ${family}`, async () => {
        assert.equal(await app.dial(network.excludedIps[i]!, 8_080), '8080')
      })

      it(`T10: nobody in the pod dials the captured ports over ${family} themselves`, async () => {
        for (const who of [app, sidecar]) {
          for (const address of [loopback, podIp()]) {
            assert.equal(await who.dial(address, PORTS.outbound), 'ECONNREFUSED', address)
            assert.equal(await who.dial(address, PORTS.inbound), 'ECONNREFUSED', address)
          }
        }
      })

      it(`containers of the pod reach one another over ${family}, and the sidecar reaches them`, async () => {
        assert.equal(await app.dial(podIp(), 8_080), '8080')
        assert.equal(await sidecar.dial(podIp(), 8_080), '8080')
        assert.equal(await app.dial(loopback, 8_080), '8080')
      })
    }

    it('leads the sidecar, and only the sidecar, from its self address to its inbound port', async () => {
      assert.equal(await sidecar.dial(SELF_ADDRESS, 8_080), '15006')
      assert.equal(await sidecar.dial(SELF_ADDRESS, PORTS.inbound), '15006')
      assert.equal(await app.dial(SELF_ADDRESS, 8_080), '8080')
      assert.equal(await app.dial(SELF_ADDRESS, PORTS.inbound), 'ECONNREFUSED')
    })

    it('T10: what listens on loopback only is not reached from outside', async () => {
      assert.equal(await outside.dial(network.podIps[0], 7_000), '15006')
      assert.equal(await app.dial('127.0.0.1', 7_000), '7000')
    })
  })
})
