import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { PORTS, SIDECAR_UID } from '../../contract/pod.ts'
import { missingIn } from './read-back.ts'
import { captureRuleset } from './ruleset.ts'
import { createNetwork, type Network, noNetwork } from './testing/network.ts'

const NOTHING = { inboundPorts: [], outboundPorts: [], outboundCidrs: [] }
const SCRIPT = join(import.meta.dirname, 'testing', 'capture-here.ts')

describe('the init role in a real network namespace', { skip: noNetwork() ?? false }, () => {
  let network: Network
  before(() => {
    network = createNetwork()
  })
  after(() => network.close())

  const run = (mode: 'capture' | 'verify', exclude: object = {}, before: readonly string[] = []) => {
    const json = JSON.stringify({ podIps: network.podIps, exclude: { ...NOTHING, ...exclude } })
    const { output, code } = network.runInPod([...before, process.execPath, SCRIPT, mode, json])
    return { output: output.trim(), code }
  }
  const nft = (...args: readonly string[]) => network.runInPod(['nft', ...args])

  it('captures, says so, and may be run again', () => {
    const captured = { output: 'TCP of this pod is captured: in on 15006, out on 15001', code: 0 }
    assert.deepEqual(run('capture'), captured)
    assert.deepEqual(run('capture'), captured)
    assert.deepEqual(missingIn(JSON.parse(nft('-j', 'list', 'table', 'inet', 'hauberk').output)), [])
  })

  it('T08: says what is not captured, and checks the rest', () => {
    assert.deepEqual(run('capture', { inboundPorts: [9_000], outboundPorts: [80], outboundCidrs: ['192.0.2.0/24'] }), {
      output:
        'TCP of this pod is captured: in on 15006, out on 15001, but for inbound port 9000, outbound port 80, outbound to 192.0.2.0/24',
      code: 0,
    })
    assert.equal(run('capture', { outboundCidrs: ['0.0.0.0/0', '::/0'] }).code, 0)
  })

  it('T09: lets nothing start where it lacks the right to write rules, and says which', () => {
    const { output, code } = run('capture', {}, ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'])
    assert.equal(code, 1)
    assert.match(output, /user 0 with the capability NET_ADMIN; a PodSecurity level of baseline or restricted/)
  })

  it('T09: lets nothing start as another user', () => {
    const { output, code } = run('capture', {}, ['setpriv', '--reuid', '1000', '--clear-groups'])
    assert.equal(code, 1)
    assert.match(output, /NET_ADMIN/)
  })

  it('T09: finds out that outgoing connections are not captured, a family each', () => {
    assert.equal(run('capture').code, 0)
    nft('flush', 'chain', 'inet', 'hauberk', 'outbound')
    assert.deepEqual(missingIn(JSON.parse(nft('-j', 'list', 'table', 'inet', 'hauberk').output)), [
      'the chain outbound does not end as it should',
    ])
    const { output } = run('verify')
    assert.match(
      output,
      /^IPv4: an outgoing connection is not captured \([A-Z]+\)\nIPv6: an outgoing .* captured \([A-Z]+\)$/,
    )
  })

  it('finds out that somebody could dial the port themselves', () => {
    assert.equal(run('capture').code, 0)
    nft('flush', 'chain', 'inet', 'hauberk', 'guard')
    assert.match(run('verify').output, /IPv4: the outbound port can be dialled directly/)
  })

  it('finds out that one family is missing', () => {
    network.runInPod(
      ['nft', '-f', '-'],
      captureRuleset(NOTHING).replace(
        `meta l4proto tcp redirect to :${PORTS.outbound}`,
        `ip protocol tcp redirect to :${PORTS.outbound}`,
      ),
    )
    assert.match(run('verify').output, /^IPv6: an outgoing connection is not captured/)
  })

  it('finds out that the user of the init container is not captured', () => {
    network.runInPod(
      ['nft', '-f', '-'],
      captureRuleset(NOTHING).replace(`skuid ${SIDECAR_UID} return`, 'skuid 0 return'),
    )
    assert.match(run('verify').output, /IPv4: an outgoing connection is not captured/)
  })

  it('finds out that the sidecar’s port is taken', async () => {
    const squatter = network.agent('pod', 0)
    await squatter.listen(PORTS.outbound, '127.0.0.1')
    const { output, code } = run('capture')
    assert.equal(code, 1)
    assert.match(output, /cannot listen on 127.0.0.1 port 15001: .*EADDRINUSE/)
  })
})

describe('what the kernel lists of the rules', () => {
  it('is missing what it should have, chain by chain', () => {
    assert.deepEqual(missingIn(undefined), ['the table is not listed as it should be'])
    assert.deepEqual(missingIn({ nftables: [] }), [
      'the chain inbound is not there',
      'the chain outbound is not there',
      'the chain guard is not there',
    ])
    const chain = (name: string, prio: number) => ({ chain: { name, type: 'nat', hook: 'prerouting', prio } })
    assert.equal(missingIn({ nftables: [chain('inbound', 0)] })[0], 'the chain inbound is at another place')
    assert.equal(missingIn({ nftables: [chain('inbound', -100)] })[0], 'the chain inbound does not end as it should')
  })
})
