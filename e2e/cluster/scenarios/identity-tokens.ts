import assert from 'node:assert/strict'
import { clientApp } from '../apps.ts'
import { askForCertificate } from '../ask-for-certificate.ts'
import { SYSTEM_NAMESPACE } from '../helm.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-identity'

export const identityTokens: ClusterScenario = {
  name: 'identity-tokens',
  title: 'T01, T02: only a live pod’s own token, made for the operator, gets a certificate, and only from that pod',
  core: true,
  async *run(world) {
    const { kubectl, namespace, podOf } = world
    await namespace(NS)
    await kubectl.apply(clientApp({ namespace: NS, name: 'client' }))
    await ready(kubectl, NS, ['client'])
    const pod = await podOf(`${NS}/client`)
    const bound = [
      '--bound-object-kind=Pod',
      `--bound-object-name=${pod.metadata.name}`,
      `--bound-object-uid=${pod.metadata.uid}`,
    ]
    const token = async (...args: readonly string[]) =>
      (await kubectl.run(['create', 'token', '-n', NS, 'client', ...args])).trim()
    const audience = '--audience=hauberk.dev/operator'

    const cases: readonly (readonly [what: string, token: string, status: number])[] = [
      ['of the API server’s own audience', await token(...bound), 401],
      ['of another audience', await token('--audience=vault', ...bound), 401],
      ['bound to no pod', await token(audience), 403],
      ['of the pod, shown from another pod', await token(audience, ...bound), 403],
      ['no token at all', 'x', 401],
    ]
    for (const [what, shown, status] of cases) {
      const answer = await askForCertificate(world, shown)
      assert.equal(answer.status, status, `${what}: ${answer.status} ${answer.body}`)
      yield {
        sent: `a CSR with a token ${what}`,
        got: String(status),
        said: (JSON.parse(answer.body) as { reason?: string }).reason ?? '',
      }
    }
    const late = await token(audience, ...bound)
    await kubectl.run(['delete', 'pod', '-n', NS, pod.metadata.name, '--grace-period=0', '--force'])
    const answer = await askForCertificate(world, late)
    assert.ok(answer.status === 401 || answer.status === 403, `${answer.status} ${answer.body}`)
    yield { sent: 'a CSR with the token of a deleted pod', got: String(answer.status), said: SYSTEM_NAMESPACE }
  },
}
