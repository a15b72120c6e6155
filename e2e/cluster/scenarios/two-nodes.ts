import assert from 'node:assert/strict'
import { MESH_ALPN } from '../../../contract/alpn.ts'
import { inboundDecision } from '../../scenarios/said.ts'
import { until } from '../../world/until.ts'
import { clientApp, echoApp } from '../apps.ts'
import type { ClusterObject, Kubectl } from '../kubectl.ts'
import { ready } from '../ready.ts'
import { sayFrom } from '../say.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-two-nodes'
const OUTSIDE = 'e2e-two-nodes-outside'
const REQUEST = 'GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n'

export const twoNodes: ClusterScenario = {
  name: 'two-nodes',
  title:
    'T07: across nodes, by IPv4 and by IPv6: pods of the mesh know each other, and nobody else is heard, with or without TLS',
  needs: 'two-nodes',
  async *run(world) {
    const { kubectl, podOf, inside } = world
    const [here, there] = await twoNodesOf(kubectl)
    await world.namespace(NS)
    await world.namespace(OUTSIDE, { inject: false })
    await kubectl.apply(
      await echoApp({ namespace: NS, name: 'server', callers: [`${NS}/client`], node: there, dualStack: true }),
    )
    await kubectl.apply(clientApp({ namespace: NS, name: 'client', node: here }))
    await kubectl.apply(clientApp({ namespace: OUTSIDE, name: 'stranger', node: here }))
    await ready(kubectl, NS, ['server', 'client'])
    await ready(kubectl, OUTSIDE, ['stranger'])
    const server = await podOf(`${NS}/server`)
    assert.equal(server.spec.nodeName, there)
    assert.equal((await podOf(`${NS}/client`)).spec.nodeName, here)
    const addresses = (server.status.podIPs as readonly { readonly ip: string }[]).map(({ ip }) => ip)
    assert.deepEqual(addresses.map(familyOf).sort(), ['IPv4', 'IPv6'])
    const { spec } = await kubectl.get(['service', '-n', NS, 'server'])
    assert.equal(spec.clusterIPs.length, 2)

    const client = inside(`${NS}/client`)
    const targets: (readonly [url: string, what: string])[] = [
      [`http://server.${NS}/`, 'the Service’s name'],
      ...(spec.clusterIPs as readonly string[]).map((ip) => [urlOf(ip, 80), `its ${familyOf(ip)} ClusterIP`] as const),
      ...addresses.map((ip) => [urlOf(ip, 8080), `the pod’s ${familyOf(ip)} address`] as const),
    ]
    for (const [url, what] of targets) {
      const since = await until(
        `${url} answers`,
        async () => {
          const begun = Date.now()
          return (await client.ask({ url })).status === 200 && begun
        },
        { withinMs: 30_000, everyMs: 300 },
      )
      const seen = await inboundDecision(world, since, {
        workload: `${NS}/server`,
        caller: `${NS}/client`,
        status: 200,
      })
      assert.equal(seen.plaintext, false)
      yield { sent: `from ${here} to ${there}, by ${what}`, got: '200', said: `mTLS from ${seen.clientIp}` }
    }

    const stranger = { namespace: OUTSIDE, pod: 'deploy/stranger' }
    for (const host of addresses) {
      const since = Date.now()
      const plain = await sayFrom(kubectl, stranger, { host, port: 8080, bytes: REQUEST })
      assert.deepEqual([plain.text, plain.isClosed], ['', true])
      const decision = await world.decisions.find(
        'plaintext refused',
        since,
        (one) => one.workload === `${NS}/server` && one.kind === 'connection' && one.outcome === 'denied',
      )
      assert.equal(decision.denial, 'plaintext-refused')
      assert.equal(familyOf(decision.clientIp), familyOf(host))
      const mutualTls = { alpn: MESH_ALPN.http }
      const nobody = await sayFrom(kubectl, stranger, { host, port: 8080, bytes: REQUEST, mutualTls })
      assert.equal(nobody.text, '')
      // A sidecar dials the first address of a pod, whichever its app dialled: this is who comes by the other one.
      const shown = await world.certificate({ uris: [`spiffe://cluster.local/ns/${NS}/sa/client`] })
      const known = await sayFrom(kubectl, stranger, {
        ...{ host, port: 8080, bytes: REQUEST },
        mutualTls: { shown, alpn: MESH_ALPN.http },
      })
      assert.match(known.text, /^HTTP\/1\.1 200 /)
      const allowed = await inboundDecision(world, since, {
        workload: `${NS}/server`,
        caller: `${NS}/client`,
        status: 200,
      })
      assert.equal(familyOf(allowed.clientIp), familyOf(host))
      yield {
        sent: `from ${here}, outside of the mesh, to the pod’s ${familyOf(host)} address on ${there}: plaintext, TLS without a certificate, with the client’s`,
        got: 'closed, closed, 200',
        said: `${decision.workload}: ${decision.denial}`,
      }
    }
  },
}

async function twoNodesOf(kubectl: Kubectl): Promise<readonly [string, string]> {
  const isControlPlane = ({ metadata }: ClusterObject) =>
    metadata.labels?.['node-role.kubernetes.io/control-plane'] !== undefined
  const nodes = await kubectl.list(['nodes'])
  const sorted = [...nodes.filter(isControlPlane), ...nodes.filter((node) => !isControlPlane(node))]
  const [first, second] = sorted.map(({ metadata }) => metadata.name)
  assert.ok(first && second, 'there are two nodes')
  return [first, second]
}

function familyOf(ip: string): string {
  return ip.includes(':') && !ip.startsWith('::ffff:') ? 'IPv6' : 'IPv4'
}

function urlOf(ip: string, port: number): string {
  return ip.includes(':') ? `http://[${ip}]:${port}/` : `http://${ip}:${port}/`
}
