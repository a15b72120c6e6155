import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import type { CheckReport } from '../../../cli/cluster/check/report.ts'
import { jsonOf } from '../../world/answer.ts'
import { echoApp } from '../apps.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-command-line'
const HAUBERK = resolve(import.meta.dirname, '../../../cli/main.ts')

export const commandLine: ClusterScenario = {
  name: 'command-line',
  title:
    'hauberk check finds nothing wrong with the shop and names a pod without a sidecar; explain knows a decision by its id',
  core: true,
  async *run({ kubectl, namespace, gateway }) {
    const hauberk = (args: readonly string[]) => run([...args, '--context', kubectl.context])

    const sound = await hauberk(['check', '-n', 'shop', '--wait', '60s', '-o', 'json'])
    const report = JSON.parse(sound.stdout) as CheckReport
    assert.equal(sound.exitCode, 0, problemsOf(report).join('\n'))
    assert.equal(report.summary.skipped, 0, 'every check was made')
    yield { sent: 'hauberk check -n shop', got: 'exit code 0', said: `${report.summary.checks} checks, 0 errors` }

    const certificates = await hauberk(['certs', '-n', 'shop', '-o', 'json'])
    assert.equal(certificates.exitCode, 0, certificates.stderr)
    const rows = JSON.parse(certificates.stdout) as readonly { readonly of: string; readonly name: string }[]
    assert.ok(rows.some(({ name }) => name === 'spiffe://cluster.local/ns/shop/sa/orders'))
    assert.ok(rows.some(({ of }) => of.startsWith('hauberk-system/gateway-shop-shop-')))
    yield { sent: 'hauberk certs -n shop', got: 'exit code 0', said: `${rows.length} certificates, all of them sound` }

    const { decisionId } = jsonOf(await gateway.ask({ path: '/api/orders/users/ann/orders' })) as {
      readonly decisionId: string
    }
    const decision = await hauberk(['explain', decisionId, '-A', '-o', 'json'])
    assert.equal(decision.exitCode, 0, decision.stderr)
    const { denial, workload } = JSON.parse(decision.stdout) as { readonly denial: string; readonly workload: string }
    assert.deepEqual([denial, workload], ['token-missing', 'shop/orders'])
    yield { sent: `hauberk explain ${decisionId}`, got: denial, said: `by ${workload}` }

    const asked = ['explain', 'orders', 'GET', '/users/ann/orders', '--from', 'shop/catalog', '--exit-code']
    assert.equal((await hauberk(asked)).exitCode, 79)
    yield { sent: 'hauberk explain orders GET /users/ann/orders --from shop/catalog', got: 'exit code 79' }

    await namespace(NS, { inject: false })
    await kubectl.apply(await echoApp({ namespace: NS, name: 'server', callers: [] }))
    await kubectl.run(['rollout', 'status', '-n', NS, 'deployment/server', '--timeout=120s'], { timeoutMs: 125_000 })
    await kubectl.run(['label', 'namespace', NS, 'hauberk.dev/inject=enabled'])
    const found = await hauberk(['check', '-n', NS, '-o', 'json'])
    assert.equal(found.exitCode, 79)
    const checks = (JSON.parse(found.stdout) as CheckReport).sections.flatMap((section) => section.checks)
    const injected = checks.find(({ id }) => id === 'pods-injected')
    assert.equal(injected?.docs, 'docs/troubleshooting.md#pods-injected')
    const [problem] = injected.problems
    assert.ok(problem)
    assert.match(problem.resource ?? '', new RegExp(`^Pod/${NS}/server-`))
    yield { sent: `hauberk check -n ${NS}`, got: 'exit code 79', said: `${problem.resource} ${problem.message}` }
  },
}

function problemsOf({ sections }: CheckReport): readonly string[] {
  return sections.flatMap(({ checks }) =>
    checks.flatMap(({ id, problems }) => problems.map(({ resource = '', message }) => `${id}: ${resource} ${message}`)),
  )
}

interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

function run(args: readonly string[]): Promise<Ended> {
  return new Promise((done) => {
    const options = { timeout: 120_000, maxBuffer: 16 * 1024 * 1024 }
    execFile(process.execPath, [HAUBERK, ...args], options, (error, stdout, stderr) => {
      done({ exitCode: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr })
    })
  })
}
