/** What the files of one folder, and of the folders below it that have no entry of their own, may import. */
export interface FolderRule {
  /** Folders of ours, besides itself and what is below it. An entry also allows the folders below. */
  readonly folders: readonly string[]
  /** npm packages. `@scope/name`, without subpaths. */
  readonly packages: readonly string[]
  /** Runs in a browser too: no `node:` module, no `Buffer`, no `process`. */
  readonly pure?: true
}

/**
 * Who may import whom: the graph of ARCHITECTURE. A folder without an entry may not hold any source.
 *
 * Tests (`*.test.ts`) may import what their folder may, besides `node:` modules, `TEST_PACKAGES` and `TEST_FOLDERS`.
 */
export const RULES: Readonly<Record<string, FolderRule>> = {
  model: { folders: [], packages: [], pure: true },
  runtime: {
    folders: ['model'],
    packages: ['@elastic/ecs-pino-format', '@prometheus-io/client', 'pino'],
  },
  policies: {
    folders: ['model'],
    packages: ['@bufbuild/protobuf', '@marcbachmann/cel-js', 'ipaddr.js', 'jose', 'oauth4webapi', 'valibot'],
    pure: true,
  },
  contract: { folders: ['model', 'policies'], packages: ['valibot'], pure: true },

  operator: {
    folders: ['model', 'policies', 'contract', 'runtime', 'crds'],
    packages: [
      '@marcbachmann/cel-js',
      '@peculiar/x509',
      'ajv',
      'ajv-formats',
      'chokidar',
      'express',
      'fastest-levenshtein',
      'ipaddr.js',
      'jose',
      'reflect-metadata',
      'valibot',
      'ws',
      'yaml',
    ],
  },
  'operator/kubernetes': { folders: ['model', 'runtime'], packages: ['@kubernetes/client-node'] },
  'operator/inject': {
    folders: ['model', 'contract', 'operator/resources', 'operator/store', 'operator/translate'],
    packages: [],
    pure: true,
  },
  'operator/resources': { folders: ['model', 'policies'], packages: ['@marcbachmann/cel-js'], pure: true },
  'operator/store': { folders: ['model', 'operator/sources'], packages: [], pure: true },
  'operator/translate': {
    folders: ['model', 'policies', 'contract', 'operator/resources', 'operator/store'],
    packages: ['ipaddr.js'],
    pure: true,
  },

  sidecar: { folders: ['model', 'policies', 'contract', 'runtime'], packages: ['valibot'] },
  // The request path: nothing but Node and what is ours.
  'sidecar/serve': { folders: ['model', 'policies', 'contract', 'runtime', 'sidecar'], packages: [] },
  'sidecar/upstream': { folders: ['model', 'policies', 'contract', 'runtime', 'sidecar'], packages: [] },
  // The one place that calls the kernel by itself: the original destination of a captured connection.
  'sidecar/capture': {
    folders: ['model', 'policies', 'contract', 'runtime', 'sidecar'],
    packages: ['koffi', 'valibot'],
  },
  // Loaded with the first connection to a store of shared limits, and not before.
  'sidecar/shared-limits': {
    folders: ['model', 'policies', 'contract', 'runtime', 'sidecar'],
    packages: ['@redis/client'],
  },
  // Loaded where a workload asks for keystores, and nowhere else.
  'sidecar/keystores': {
    folders: ['model', 'runtime', 'sidecar/identity'],
    packages: ['asn1js', 'pkijs'],
  },
  'sidecar/client-hello': { folders: ['model'], packages: [], pure: true },
  'sidecar/compile': { folders: ['model', 'policies', 'contract'], packages: [], pure: true },
  'sidecar/control': { folders: ['model', 'policies', 'contract', 'runtime', 'sidecar'], packages: ['valibot', 'ws'] },
  'sidecar/identity': {
    folders: ['model', 'contract', 'runtime', 'sidecar'],
    packages: ['@peculiar/x509', 'reflect-metadata', 'valibot'],
  },

  cli: {
    folders: ['model', 'policies', 'contract', 'runtime', 'operator', 'sidecar', 'crds'],
    packages: ['@kubernetes/client-node', 'commander', 'pg', 'valibot', 'yaml'],
  },
  crds: { folders: ['model', 'policies'], packages: [], pure: true },

  // Helm's; ours are the tests only.
  charts: { folders: [], packages: ['yaml'] },

  samples: {
    folders: [],
    packages: [
      '@elastic/ecs-pino-format',
      '@prometheus-io/client',
      'cookie',
      'express',
      'jose',
      'oidc-provider',
      'pg',
      'pino',
    ],
  },
  // What the shop wants on a cluster only. It makes secrets as `hauberk dev` does.
  'samples/shop/cluster': { folders: ['model', 'cli/dev'], packages: [] },
  // How the programs become images.
  images: { folders: ['tools'], packages: [] },
  e2e: {
    folders: ['model', 'policies', 'contract', 'runtime', 'operator', 'sidecar', 'cli', 'samples'],
    packages: [
      '@grpc/grpc-js',
      '@kubernetes/client-node',
      '@peculiar/x509',
      'jose',
      'pg',
      'playwright-core',
      'reflect-metadata',
      'esbuild',
      'testcontainers',
      'ws',
      'yaml',
    ],
  },
  bench: {
    folders: ['model', 'policies', 'contract', 'runtime', 'operator', 'sidecar', 'cli'],
    packages: ['jose'],
  },
  tools: {
    folders: ['model', 'policies', 'contract', 'operator', 'crds'],
    packages: ['ajv', 'ajv-formats', 'esbuild', 'fast-check', 'yaml'],
  },
}

/** What any test may import besides. */
export const TEST_PACKAGES: readonly string[] = ['#fast-check']

/** What the tests of a folder may import besides, to meet the other side for real. */
export const TEST_FOLDERS: Readonly<Record<string, readonly string[]>> = {
  charts: ['operator/cluster', 'tools'],
  operator: ['sidecar/compile'],
  policies: ['contract'],
  runtime: ['policies'],
  samples: ['cli'],
  sidecar: ['contract'],
}

/** Package imports that only the tests of a folder may have besides. */
export const TEST_FOLDER_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  model: ['@peculiar/x509', 'reflect-metadata', 'yaml'],
  policies: ['ajv', 'ajv-formats', 'yaml'],
  operator: ['ws', 'yaml'],
  runtime: ['jose'],
  samples: ['yaml'],
  sidecar: ['@grpc/grpc-js', '@grpc/proto-loader', '@peculiar/x509', 'jose', 'reflect-metadata', 'ws'],
}

/** Files where the environment may be read. Samples are programs of their own and keep the same rule. */
export function mayReadEnvironment(file: string): boolean {
  return (
    file.endsWith('/options.ts') || file.startsWith('tools/') || file.startsWith('e2e/') || file.startsWith('bench/')
  )
}
