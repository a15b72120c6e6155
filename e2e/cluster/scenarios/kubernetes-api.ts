import assert from 'node:assert/strict'
import { until } from '../../world/until.ts'
import { clientApp } from '../apps.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-kubernetes-api'

export const kubernetesApi: ClusterScenario = {
  name: 'kubernetes-api',
  title: 'T33: a pod of the mesh may call the API server, by its Service, and its node by no address',
  core: true,
  async *run(world) {
    const { kubectl, namespace, podOf } = world
    await namespace(NS)
    await kubectl.apply(clientApp({ namespace: NS, name: 'client' }))
    await ready(kubectl, NS, ['client'])
    const ask = async (host: string, port: number) => {
      const command = ['node', '--eval', ASK, host, String(port), `/api/v1/namespaces/${NS}/pods`]
      const said = await kubectl.exec({ namespace: NS, pod: 'deploy/client', container: 'app' }, command)
      return JSON.parse(said) as { readonly status: number; readonly message: string }
    }
    const answer = await until(
      'the API server answers',
      async () => {
        const seen = await ask('kubernetes.default.svc', 443)
        return seen.status !== 0 && seen
      },
      { withinMs: 30_000, everyMs: 500 },
    )
    assert.equal(answer.status, 403, answer.message)
    assert.match(answer.message, new RegExp(`"system:serviceaccount:${NS}:client" cannot list resource "pods"`))
    yield {
      sent: 'GET https://kubernetes.default.svc/api/v1/.../pods, with the pod’s own token',
      got: '403, by the API server itself',
      said: `User "system:serviceaccount:${NS}:client" cannot list resource "pods"`,
    }

    const { status } = await podOf(`${NS}/client`)
    const since = Date.now()
    const direct = await ask(String(status.hostIP), 6443)
    assert.equal(direct.status, 0, direct.message)
    const decision = await world.decisions.find(
      'the call is refused',
      since,
      (one) => one.workload === `${NS}/client` && one.direction === 'outbound' && one.outcome === 'denied',
    )
    assert.equal(decision.denial, 'outbound-unknown-address')
    yield { sent: `the same by the address of the node, ${status.hostIP}:6443`, got: 'reset', said: decision.denial }
  },
}

/** `HOST PORT PATH`: prints what the API server answers to this pod's token, status 0 where nobody does. */
const ASK = `
const { readFileSync } = require('node:fs')
const account = '/var/run/secrets/kubernetes.io/serviceaccount/'
const [host, port, path] = process.argv.slice(1)
const tell = (status, message) => process.stdout.write(JSON.stringify({ status, message }))
require('node:https').get({
  host, port, path,
  servername: 'kubernetes.default.svc',
  ca: readFileSync(account + 'ca.crt'),
  headers: { authorization: 'Bearer ' + readFileSync(account + 'token', 'utf8') },
  timeout: 10000,
}, (response) => {
  let body = ''
  response.on('data', (chunk) => { body += chunk }).on('end', () => {
    const { message } = JSON.parse(body)
    tell(response.statusCode, message ?? body)
  })
}).on('timeout', function () { this.destroy(new Error('no answer')) }).on('error', ({ message }) => tell(0, message))
`
