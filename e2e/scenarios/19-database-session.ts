import assert from 'node:assert/strict'
import { until } from '../world/until.ts'
import { firstValueIn, LET_IN, query, startup, TERMINATE } from './postgres-wire.ts'
import { refusedBy } from './said.ts'
import type { Scenario } from './scenario.ts'
import { lossesIn } from './under-load.ts'

const DATABASE = 'shop/orders-db'
const POLICY = 'orders-elsewhere'

/** Where orders has nothing: every Postgres has this database. */
const ELSEWHERE = 'postgres'

/** The name of the session that is held, in the list that the server keeps of them. */
const HELD = 'e2e-held'

/** Milliseconds that the session is held for at most, on a machine that does much besides. */
const HELD_MS = 60_000

const LETS_ELSEWHERE = `apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata:
  name: ${POLICY}
  namespace: shop
spec:
  targetRefs:
  - kind: Service
    name: orders-db
  postgres:
    users:
    - name: elsewhere
      from: {serviceAccounts: [shop/orders]}
      user: orders
      databases: [${ELSEWHERE}]
`

export const databaseSession: Scenario = {
  name: 'database-session',
  title: 'a session in the database ends with the policy that let it in, and other sessions go on',
  needsOwn: true,
  async *run(world) {
    const window = (await world.load()).window()
    const orders = world.inside('shop/orders')
    const say = (...bytes: readonly string[]) => orders.dial('orders-db', 5432, bytes.join(''))
    const asked = () => say(startup('orders', ELSEWHERE), query('SELECT current_database()'), TERMINATE)
    try {
      assert.match((await asked()).text, /C3D000\0/)
      await world.manifests.save(POLICY, LETS_ELSEWHERE)
      const welcomed = await until('the policy is in force', async () => {
        const { text } = await asked()
        return text.startsWith(LET_IN) ? text : undefined
      })
      assert.equal(firstValueIn(welcomed), ELSEWHERE)
      yield {
        sent: `a policy that lets orders into database "${ELSEWHERE}" is saved; orders connects`,
        got: 'FATAL 3D000 -> a session, without a password',
      }

      const since = Date.now()
      const held = orders.dial('orders-db', 5432, startup('orders', ELSEWHERE, HELD), HELD_MS)
      const count = `SELECT count(*) FROM pg_stat_activity WHERE application_name = '${HELD}'`
      await until('the session is there', async () => {
        const { text } = await say(startup('orders', 'orders'), query(count), TERMINATE)
        return firstValueIn(text) === '1'
      })
      await world.manifests.remove(POLICY)
      const { text, isClosed } = await held
      assert.ok(isClosed, 'the session is cut')
      assert.ok(text.startsWith(LET_IN))
      const cut = await world.decisions.find(
        'a session that was cut',
        since,
        (one) => one.workload === DATABASE && one.kind === 'connection' && one.denial === 'database-refused',
      )
      assert.deepEqual([cut.outcome, cut.caller], ['denied', 'shop/orders'])
      yield { sent: 'the policy is removed while the session is open', got: 'cut', said: refusedBy(cut) }
      assert.match((await asked()).text, /C3D000\0/)
    } finally {
      await world.manifests.remove(POLICY)
    }
    yield { sent: 'meanwhile, under load', got: await lossesIn(window) }
  },
}
