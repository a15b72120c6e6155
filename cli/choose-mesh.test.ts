import assert from 'node:assert/strict'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Command } from 'commander'
import { kubeconfig, scriptServer } from '../operator/kubernetes/testing/api-server.ts'
import { findMesh } from './choose-mesh.ts'
import { CommandError } from './exit-code.ts'
import { VERBS } from './main.ts'
import { directoryOf } from './testing/files.ts'
import { runHauberk } from './testing/run-hauberk.ts'
import { runningMesh } from './testing/running-mesh.ts'

const NO_STATUS = { resources: [], workloads: [], issuers: [], fileIssues: [] }

/** A directory with the kubeconfig of an API server that has nothing, and what that server was asked. */
async function emptyCluster(t: TestContext) {
  const { client, asked } = await scriptServer(t, ({ path }, answer) => {
    if (path === '/version') return answer.json(200, { gitVersion: 'v1.35.0' })
    if (path.endsWith('/pods') || path.endsWith('/namespaces')) {
      return answer.json(200, { metadata: { resourceVersion: '1' }, items: [] })
    }
    answer.refuse(404, 'NotFound')
  })
  const cwd = await directoryOf(t, { kubeconfig: kubeconfig(client.server.replace(/\/$/, '')) })
  return { cwd, asked, config: join(cwd, 'kubeconfig') }
}

test('without a flag it is the mesh of this machine where one runs in this directory, else the cluster', async (t) => {
  const { cwd, asked, config } = await emptyCluster(t)
  const env = { KUBECONFIG: config }
  const onCluster = await runHauberk(['check', '-o', 'json'], { cwd, env })
  assert.equal(onCluster.code, 79, onCluster.stderr)
  const { context, sections } = JSON.parse(onCluster.stdout)
  assert.equal(context, 'test')
  const operator = sections[1].checks[0]
  assert.deepEqual([operator.id, operator.outcome], ['operator-installed', 'error'])
  assert.equal(operator.docs, 'docs/troubleshooting.md#operator-installed')

  await symlink(await runningMesh(t, { proxies: [], status: NO_STATUS }), join(cwd, '.hauberk'))
  const before = asked.length
  const here = await runHauberk(['check'], { cwd, env })
  assert.equal(here.code, 0, here.stderr)
  assert.match(here.stdout, /✓ nothing to complain about \(0 resources, 0 workloads\)\n$/)
  assert.equal(asked.length, before, 'the cluster is left alone')

  const forced = await runHauberk(['check', '--context', 'test'], { cwd, env })
  assert.equal(forced.code, 79)
  assert.match(forced.stdout, /✗ the operator is installed/)
})

test('every flag of kubectl asks for a cluster, whatever runs here', async (t) => {
  const { cwd, config } = await emptyCluster(t)
  await symlink(await runningMesh(t, { proxies: [], status: NO_STATUS }), join(cwd, '.hauberk'))
  const env = { KUBECONFIG: config }
  const runs = await Promise.all(
    [['-n', 'shop'], ['-A'], ['--kubeconfig', config], ['--context', 'test']].map((flags) =>
      runHauberk(['certs', ...flags], { cwd, env }),
    ),
  )
  assert.deepEqual(
    runs.map(({ code, stderr }) => [code, stderr]),
    [
      [0, 'there is no pod with a sidecar in namespace shop; -A looks at all namespaces\n'],
      [0, 'there is no pod with a sidecar\n'],
      [0, 'there is no pod with a sidecar in namespace here; -A looks at all namespaces\n'],
      [0, 'there is no pod with a sidecar in namespace here; -A looks at all namespaces\n'],
    ],
  )
})

test('flags that contradict each other are wrong usage', async (t) => {
  for (const flags of [
    { namespace: 'a', allNamespaces: true },
    { local: true, namespace: 'a' },
    { state: 'x', context: 'y' },
  ] as const) {
    await assert.rejects(findMesh(flags), (error: unknown) => error instanceof CommandError && error.exitCode === 2)
  }
  const cwd = await directoryOf(t, {})
  const { code, stderr } = await runHauberk(['check', '-f', '.', '--context', 'y'], { cwd })
  assert.equal(code, 2)
  assert.match(stderr, /either files \(-f\) or a mesh that runs/)
})

test('where there is neither a mesh nor a kubeconfig the command says both', async (t) => {
  const cwd = await directoryOf(t, {})
  const [check, status] = await Promise.all([runHauberk(['check'], { cwd }), runHauberk(['status'], { cwd })])
  assert.equal(check.code, 2)
  assert.match(check.stderr, /say which files with -f: no mesh runs in \.hauberk, and there is no kubeconfig/)
  assert.equal(status.code, 1)
  assert.match(status.stderr, /no mesh runs in \.hauberk, and there is no kubeconfig/)
})

test('an API server that is away is no finding: check says so and ends with 1', async (t) => {
  const cwd = await directoryOf(t, { kubeconfig: kubeconfig('http://127.0.0.1:9') })
  const { code, stdout } = await runHauberk(['check', '--kubeconfig', 'kubeconfig'], { cwd })
  assert.equal(code, 1)
  assert.match(stdout, /✗ the API server answers \(http:\/\/127\.0\.0\.1:9, context test\)\n {4}error {2}/)
  assert.match(stdout, /\n✗ 1 error \(\d+ checks, \d+ skipped\)\n$/)
})

test('the help of each verb that asks a mesh has the flags of both kinds, and the rule between them', async () => {
  for (const name of ['check', 'certs', 'explain', 'status', 'ca']) {
    const command = new Command(name)
    ;(await VERBS.find((verb) => verb.name === name)?.load())?.(command)
    const asking = name === 'ca' ? command.commands.find((each) => each.name() === 'status') : command
    let help = ''
    asking?.configureOutput({
      writeOut(text) {
        help += text
      },
    })
    asking?.outputHelp()
    for (const flag of ['--local', '--state', '-n, --namespace', '-A, --all-namespaces', '--context', '--kubeconfig']) {
      assert.ok(help.includes(flag), `${name} ${flag}`)
    }
    assert.match(help, /Which mesh: --local or --state say the one of this machine/)
  }
})
