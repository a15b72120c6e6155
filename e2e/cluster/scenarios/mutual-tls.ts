import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { inboundDecision } from '../../scenarios/said.ts'
import { until } from '../../world/until.ts'
import { clientApp, echoApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const exec = promisify(execFile)
const NS = 'e2e-mutual-tls'

export const mutualTls: ClusterScenario = {
  name: 'mutual-tls',
  title: 'T05: two pods know each other by SPIFFE ids, in certificates that openssl verifies',
  core: true,
  async *run(world) {
    await world.namespace(NS)
    await world.kubectl.apply(await echoApp({ namespace: NS, name: 'server', callers: [`${NS}/client`] }))
    await world.kubectl.apply(clientApp({ namespace: NS, name: 'client' }))
    await ready(world.kubectl, NS, ['server', 'client'])

    const since = Date.now()
    const inside = world.inside(`${NS}/client`)
    const answer = await until(
      'the server answers',
      async () => {
        const seen = await inside.ask({ url: `http://server.${NS}/` })
        return seen.status === 200 ? seen : undefined
      },
      { withinMs: 30_000, everyMs: 300 },
    )
    assert.equal(answer.status, 200, answer.body)
    const decision = await inboundDecision(world, since, {
      workload: `${NS}/server`,
      caller: `${NS}/client`,
      status: 200,
    })
    assert.equal(decision.plaintext, false)
    yield {
      sent: `client: GET http://server.${NS}/, in plain HTTP`,
      got: '200',
      said: `seen as ${decision.caller}, rule ${decision.rule}`,
    }

    for (const name of ['client', 'server']) {
      const { chain, trustBundle } = JSON.parse(await world.askSidecar(`${NS}/${name}`, '/identity')) as {
        readonly chain: string
        readonly trustBundle: readonly string[]
      }
      const text = await verified(chain, trustBundle.join('\n'))
      const id = `URI:spiffe://cluster.local/ns/${NS}/sa/${name}`
      assert.ok(text.includes(id), text)
      assert.match(text, /CA:FALSE/)
      yield { sent: `openssl verify of the certificate of ${name}`, got: 'OK', said: id }
    }
  },
}

/** The leaf as text, once openssl has verified it: the rest of the chain is untrusted, the bundle is all that is trusted. */
async function verified(chain: string, roots: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-e2e-'))
  try {
    const [leaf = '', ...rest] = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    const file = async (name: string, text: string) => {
      await writeFile(join(directory, name), text)
      return join(directory, name)
    }
    const leafFile = await file('leaf.pem', leaf)
    const args = [
      'verify',
      '-CAfile',
      await file('roots.pem', roots),
      '-untrusted',
      await file('rest.pem', rest.join('\n')),
    ]
    await exec('openssl', [...args, '-purpose', 'sslserver', leafFile])
    const { stdout } = await exec('openssl', ['x509', '-in', leafFile, '-noout', '-text'])
    return stdout
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
