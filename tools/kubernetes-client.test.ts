import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { build } from 'esbuild'
import { readSourceTree } from './import-graph.ts'
import { kubernetesClient, USED } from './kubernetes-client.ts'

const ROOT = join(import.meta.dirname, '..')

test('programs take no more of the Kubernetes client than the bundles have', () => {
  const taken = new Set<string>()
  for (const [file, source] of readSourceTree(ROOT)) {
    if (!/^(operator|sidecar|cli)\//.test(file) || file.endsWith('.test.ts') || file.endsWith('.kind.ts')) continue
    const uses = source.matchAll(/^(?!import type\b).*'@kubernetes\/client-node'/gm)
    for (const [line] of uses) {
      const names = /(?:const|import) \{ ([\w, ]+) \} (?:= await import\(|from )'@kubernetes\/client-node'/.exec(
        line,
      )?.[1]
      assert.ok(names, `${file}: ${line.trim()}: write const { NAME } = await import(...)`)
      for (const name of names.split(', ')) taken.add(name)
    }
  }
  assert.deepEqual([...taken].sort(), USED)
})

test('the bundle has the part of the client that is used, and it works', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-bundle-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const outfile = join(directory, 'bundle.mjs')
  await build({
    stdin: {
      contents: `const { KubeConfig } = await import('@kubernetes/client-node')
        const config = new KubeConfig()
        config.loadFromString(${JSON.stringify(KUBECONFIG)})
        console.log(config.getCurrentCluster().server)`,
      resolveDir: ROOT,
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['module', 'main'],
    external: ['bufferutil', 'utf-8-validate'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    plugins: [kubernetesClient],
    outfile,
  })
  assert.ok((await stat(outfile)).size < 4_000_000)
  assert.equal(execFileSync(process.execPath, [outfile], { encoding: 'utf8' }).trim(), 'https://a.example')
})

const KUBECONFIG = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'c',
  clusters: [{ name: 'k', cluster: { server: 'https://a.example' } }],
  contexts: [{ name: 'c', context: { cluster: 'k' } }],
})
