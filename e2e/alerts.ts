/**
 * `npm run e2e:alerts`: a real Prometheus scrapes a mesh on this machine and evaluates the rules of the chart. Each alert is made to
 * fire by a real attack or fault, and then resolves; the queries of the dashboards are asked in between. Ends with 3 where there is no
 * Prometheus.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readMeshFile } from '../cli/dev/mesh-file.ts'
import { type Attack, attacksOn, gatherLoot } from './alerts/attacks.ts'
import { type PanelQuery, panelQueries, withoutData } from './alerts/dashboards.ts'
import { alertsIn, hurriedRules } from './alerts/hurried-rules.ts'
import { missingPrometheus, type Prometheus, startPrometheus } from './alerts/prometheus.ts'
import { type OwnWorld, startOwnWorld } from './local/own-world.ts'
import { until } from './world/until.ts'

const RULES = resolve(import.meta.dirname, '../charts/hauberk/files/rules/hauberk.yaml')

/** How many times faster than in a cluster time passes for the rules. */
const FACTOR = 20

/** Alerts whose cause is not to be had on a laptop within minutes: promtool evaluates them in charts/hauberk/alerts.test.ts. */
const BY_PROMTOOL: ReadonlySet<string> = new Set([
  'HauberkRootExpires',
  'HauberkIssuerKeysStale',
  'HauberkUnmeshedPods',
  'HauberkNobodyScraped',
  'HauberkLogLinesDropped',
])

/** Milliseconds within which each query of the dashboards has to have data, while all of the attacks go on. */
const DATA_WITHIN_MS = 180_000

/** Milliseconds until an alert has to fire, and until it has to have resolved once its cause is gone. */
const FIRES_WITHIN_MS = 180_000
const RESOLVES_WITHIN_MS = 240_000

const QUIET_POLICY = `
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: reviews, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: reviews}]
  authorization:
    allow: [{from: {serviceAccounts: [hauberk-system/gateway-shop-shop]}}]
`

const missing = missingPrometheus()
if (missing !== undefined) {
  process.stderr.write(`${missing}\n`)
  process.exitCode = 3
} else {
  process.exitCode = await main()
}

async function main(): Promise<number> {
  const began = performance.now()
  const say = (text: string) => process.stdout.write(`${seconds(performance.now() - began).padStart(7)}  ${text}\n`)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stopping.abort(new Error(`ended by ${signal}`)))
  }
  let world: OwnWorld | undefined
  let prometheus: Prometheus | undefined
  const stopped = new Set<number>()
  let failed = 0
  const seen = new Set<string>()
  try {
    world = await startOwnWorld({ signal: stopping.signal })
    say(`a mesh of ${world.workloads().length} workloads runs`)
    const loot = await gatherLoot(world)
    const directory = join(world.stateDirectory, 'prometheus')
    await mkdir(directory)
    const rules = await readFile(RULES, 'utf8')
    prometheus = await startPrometheus({ directory, targets: targetsOf(world), rules: hurriedRules(rules, FACTOR) })
    const watch = watcher(prometheus, stopping.signal, say, (alert) => seen.add(alert))

    const honest = traffic.bind(undefined, world, loot.bob)
    await honest()
    await until(
      'every target is scraped',
      async () => {
        const { up, all } = (await prometheus?.targets()) ?? { up: 0, all: 1 }
        return up === all
      },
      { withinMs: 60_000, everyMs: 200 },
    )
    const early = await prometheus.firing()
    if (early.size > 0) throw new Error(`alerts fire while all is well: ${[...early].join(', ')}`)
    say('every target is scraped, and no alert fires while all is well')

    const pidOf = async (name: string) => {
      const pid = (await readMeshFile(world?.stateDirectory ?? ''))?.children[name]?.pid
      if (pid === undefined) throw new Error(`no process ${name}`)
      return pid
    }
    /** Held, it neither answers nor ends: what hangs looks like that to everybody else. */
    const hold = async (name: string): Promise<() => void> => {
      const pid = await pidOf(name)
      stopped.add(pid)
      process.kill(pid, 'SIGSTOP')
      return () => {
        stopped.delete(pid)
        process.kill(pid, 'SIGCONT')
      }
    }

    const releaseIssuer = await hold('app identity/auth')
    const releaseSidecar = await hold('sidecar shop/reviews')
    await world.manifests.save('reviews-for-gateways', QUIET_POLICY)
    const attacks = attacksOn(world, loot)
    await Promise.all([
      Promise.all(attacks.map((attack) => watch.attack(attack))),
      watch.fault('a held sidecar, while a policy for it is saved', ['HauberkConfigBehind', 'HauberkTargetDown'], () =>
        releaseSidecar(),
      ),
      watch.fault('an issuer that hangs', ['HauberkIssuerKeysFailing'], () => releaseIssuer()),
    ])

    const queries = panelQueries(`${300 / FACTOR}s`)
    const empty = await emptyUnder(attacks, honest, prometheus, queries, stopping.signal)
    for (const { dashboard, panel, expression } of empty) say(`✖ no data: ${dashboard}, ${panel}: ${expression}`)
    failed += empty.length
    say(`${queries.length - empty.length} of ${queries.length} queries of the dashboards have data`)

    failed += await watch.resolved()
    const releaseOperator = await hold('operator')
    await watch.fault('an operator that hangs', ['HauberkCertificateNotRenewed', 'HauberkSidecarWithoutOperator'], () =>
      releaseOperator(),
    )
    failed += await watch.resolved()

    const expected = alertsIn(rules)
      .map(({ name }) => name)
      .filter((name) => !BY_PROMTOOL.has(name))
    for (const name of expected) {
      if (seen.has(name)) continue
      failed += 1
      say(`✖ ${name} has never fired`)
    }
    process.stdout.write(`\n${seen.size} passed, ${failed} failed\n`)
    return failed === 0 ? 0 : 1
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    return 1
  } finally {
    for (const pid of stopped) process.kill(pid, 'SIGCONT')
    await prometheus?.stop()
    await world?.stop()
  }
}

/**
 * What has no data of the queries, however often they are asked. An offender is told of for a minute and a rate is one of seconds, so
 * everybody goes on meanwhile: the honest and the others.
 */
async function emptyUnder(
  attacks: readonly Attack[],
  goOn: () => Promise<void>,
  prometheus: Prometheus,
  queries: readonly PanelQuery[],
  signal: AbortSignal,
): Promise<readonly PanelQuery[]> {
  const startedMs = performance.now()
  let empty = queries
  while (empty.length > 0 && performance.now() - startedMs < DATA_WITHIN_MS) {
    signal.throwIfAborted()
    await Promise.allSettled([goOn(), ...attacks.map(({ round }) => round()), sleep(2_000)])
    empty = await withoutData(prometheus, empty)
  }
  return empty
}

/** Looks what fires, and says so. */
function watcher(
  prometheus: Prometheus,
  signal: AbortSignal,
  say: (text: string) => void,
  onFired: (alert: string) => void,
) {
  const began = new Map<string, number>()
  const fires = async (alert: string): Promise<boolean> => (await prometheus.firing()).has(alert)
  const fired = (alert: string, startedMs: number, what: string) => {
    onFired(alert)
    began.set(alert, performance.now())
    say(`✔ ${alert} fires after ${seconds(performance.now() - startedMs)}: ${what}`)
  }
  return {
    async attack({ alert, what, round }: Attack): Promise<void> {
      const startedMs = performance.now()
      let failure: unknown
      while (performance.now() - startedMs < FIRES_WITHIN_MS) {
        signal.throwIfAborted()
        // Who attacks may be cut off in the middle of it.
        const [made] = await Promise.allSettled([round(), sleep(1_000)])
        if (made.status === 'rejected') failure = made.reason
        if (!(await fires(alert))) continue
        fired(alert, startedMs, what)
        return
      }
      say(`✖ ${alert} does not fire: ${what}${failure === undefined ? '' : ` (${String(failure)})`}`)
    },
    /** Waits for alerts of something that has been done, and undoes it. */
    async fault(what: string, alerts: readonly string[], undo: () => void): Promise<void> {
      const startedMs = performance.now()
      try {
        const waiting = new Set(alerts)
        await until(
          `${alerts.join(' and ')} fire`,
          async () => {
            signal.throwIfAborted()
            const now = await prometheus.firing()
            for (const alert of waiting) {
              if (!now.has(alert)) continue
              waiting.delete(alert)
              fired(alert, startedMs, what)
            }
            return waiting.size === 0
          },
          { withinMs: FIRES_WITHIN_MS, everyMs: 500 },
        )
      } finally {
        undo()
      }
    },
    /** How many alerts are firing still when they should not. */
    async resolved(): Promise<number> {
      const waiting = new Set(began.keys())
      const startedMs = performance.now()
      while (waiting.size > 0 && performance.now() - startedMs < RESOLVES_WITHIN_MS) {
        signal.throwIfAborted()
        const now = await prometheus.firing()
        for (const alert of waiting) {
          if (now.has(alert)) continue
          waiting.delete(alert)
          say(`  ${alert} has resolved, ${seconds(performance.now() - (began.get(alert) ?? 0))} after it fired`)
          began.delete(alert)
        }
        await sleep(500)
      }
      for (const alert of waiting) say(`✖ ${alert} does not resolve`)
      return waiting.size
    },
  }
}

function targetsOf({ state }: OwnWorld) {
  return [
    {
      job: 'hauberk-operator',
      port: state.operator.admin.port,
      labels: { namespace: 'hauberk-system', pod: 'operator' },
    },
    ...[...state.sidecars].map(([workload, { admin }]) => {
      const [namespace = '', pod = ''] = workload.split('/')
      return { job: 'hauberk-sidecars', port: admin.port, labels: { namespace, pod } }
    }),
  ]
}

/** What honest people do: enough for a dashboard, and nothing to tell of. */
async function traffic({ gateway }: OwnWorld, bob: string): Promise<void> {
  for (let i = 0; i < 10; i++) {
    await gateway.ask({ path: '/api/catalog/products' })
    await gateway.ask({ path: '/' })
    await gateway.ask({ path: '/api/orders/users/bob/orders', token: bob })
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
