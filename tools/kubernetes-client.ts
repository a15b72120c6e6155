import type { Plugin } from 'esbuild'

const PACKAGE = '@kubernetes/client-node'
const ONLY = 'what-is-used-of-the-kubernetes-client'

/** All that programs take of the package. It also has every kind of the API as a class: 17 MB, 47 MB of memory once loaded. */
export const USED: readonly string[] = ['Exec', 'KubeConfig']

/**
 * Bundles of `@kubernetes/client-node` what is in {@link USED} and what that needs. By itself esbuild keeps the whole: the
 * package does not say that its modules do nothing when they are loaded (they do nothing), and who imports it as it is needed
 * could want any name.
 */
export const kubernetesClient: Plugin = {
  name: 'kubernetes-client',
  setup(build) {
    build.onResolve({ filter: /^(@kubernetes\/client-node|\.{1,2}\/)/ }, async ({ path, pluginData, ...from }) => {
      if (pluginData === RESOLVED) return undefined
      const isOurs = path === PACKAGE && from.namespace !== ONLY
      if (isOurs) return { path: PACKAGE, namespace: ONLY, pluginData: { resolveDir: from.resolveDir } }
      if (path !== PACKAGE && !from.importer.includes(`/${PACKAGE}/`)) return undefined
      const { resolveDir, importer, kind } = from
      const found = await build.resolve(path, { resolveDir, importer, kind, pluginData: RESOLVED })
      return { ...found, sideEffects: false }
    })
    build.onLoad({ filter: /.*/, namespace: ONLY }, ({ pluginData }) => ({
      contents: `export { ${USED.join(', ')} } from '${PACKAGE}'`,
      resolveDir: (pluginData as { readonly resolveDir: string }).resolveDir,
    }))
  },
}

/** Keeps the plugin from being asked about its own question. */
const RESOLVED = Symbol('resolved')
