import assert from 'node:assert/strict'
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

test('the bundle has the part of the client that is used, and it works', async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: `const { KubeConfig } = await import('@kubernetes/client-node')
        export const config = new KubeConfig()
        config.loadFromString('{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "k", "cluster": {"server": "https://a.example"}}], "contexts": [{"name": "c", "context": {"cluster": "k"}}]}')`,
      resolveDir: ROOT,
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['module', 'main'],
    external: ['bufferutil', 'utf-8-validate'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(process.cwd() + '/')" },
    plugins: [kubernetesClient],
    write: false,
  })
  const contents = outputFiles[0]?.contents ?? new Uint8Array()
  assert.ok(contents.byteLength < 4_000_000, `${contents.byteLength} bytes`)
  const bundle = await import(`data:text/javascript;base64,${Buffer.from(contents).toString('base64')}`)
  assert.equal(bundle.config.getCurrentCluster().server, 'https://a.example')
})
