import assert from 'node:assert/strict'
import { parseAllDocuments } from 'yaml'
import { LET_IN, startup } from '../../scenarios/postgres-wire.ts'
import type { ClusterObject } from '../kubectl.ts'
import { ready } from '../ready.ts'
import type { ClusterScenario } from '../scenario.ts'
import { renderShop } from '../shop.ts'

const NS = 'e2e-database'
const DATABASE = 'orders-db'

/** What may be said of a password in the environment of a container, or mounted into it. */
const OF_PASSWORDS = /password|secretKeyRef|secretName|pgpass/i

export const databaseAlone: ClusterScenario = {
  name: 'database-alone',
  title: 'T07, T31: no manifest has a password of the database, and without its sidecar the database lets nobody in',
  core: true,
  async *run({ kubectl, namespace, podOf, sayFromOutside }) {
    const rendered = parseAllDocuments(await renderShop(kubectl)).map((each) => each.toJS() as ClusterObject)
    const parts = rendered.filter(({ metadata }) => metadata.name.startsWith(DATABASE))
    const kinds = parts.map(({ kind }) => kind).sort()
    assert.deepEqual(kinds, ['ConfigMap', 'ConfigMap', 'Deployment', 'SecurityPolicy', 'Service', 'ServiceAccount'])
    const running = await kubectl.get(['deployment', '-n', 'shop', DATABASE])
    for (const { spec } of [...parts, running]) assert.doesNotMatch(JSON.stringify(spec ?? {}), OF_PASSWORDS)
    const { spec: orders } = await kubectl.get(['deployment', '-n', 'shop', 'orders'])
    assert.doesNotMatch(JSON.stringify(orders.template.spec.containers), OF_PASSWORDS)
    yield {
      sent: 'the manifests of orders-db and the environment of orders',
      got: 'no password, and no Secret with one',
    }

    await namespace(NS, { inject: false })
    for (const part of parts.filter(({ kind }) => kind !== 'SecurityPolicy')) {
      await kubectl.apply(JSON.stringify({ ...part, metadata: { ...part.metadata, namespace: NS } }))
    }
    await ready(kubectl, NS, [DATABASE])
    const { metadata, status } = await podOf(`${NS}/${DATABASE}`)
    for (const { ip } of status.podIPs as readonly { readonly ip: string }[]) {
      const family = ip.includes(':') ? 'IPv6' : 'IPv4'
      const heard = await sayFromOutside({ host: ip, port: 5432, bytes: startup('orders', 'orders') })
      assert.match(heard.text, /C28000\0Mno pg_hba\.conf entry for host /)
      assert.ok(!heard.text.includes(LET_IN))
      yield {
        sent: `${family}: a pod of another namespace connects as "orders", no sidecar between`,
        got: 'FATAL 28000',
      }

      const command = [
        'psql',
        '--host',
        ip,
        '--username=orders',
        '--no-password',
        '-Atc',
        'SELECT current_user',
        'orders',
      ]
      assert.equal((await kubectl.exec({ namespace: NS, pod: metadata.name }, command)).trim(), 'orders')
      yield { sent: `${family}: from the pod’s own address, which is its sidecar’s`, got: 'a session of "orders"' }
    }
  },
}
