import type { Plugin } from 'esbuild'

const PACKAGE = '@prometheus-io/client'

/**
 * Bundles of `@prometheus-io/client` its registry, which is all that runtime/metrics.ts takes. The package loads everything
 * when it is named: push gateways, clusters and workers, with what Node itself then loads for them.
 */
export const prometheusRegistry: Plugin = {
  name: 'prometheus-registry',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@prometheus-io\/client$/ }, ({ resolveDir }) => ({
      path: PACKAGE,
      namespace: 'prometheus-registry',
      pluginData: { resolveDir },
    }))
    onLoad({ filter: /.*/, namespace: 'prometheus-registry' }, ({ pluginData }) => ({
      contents: `export { default as Registry } from '${PACKAGE}/lib/registry.js'`,
      resolveDir: (pluginData as { readonly resolveDir: string }).resolveDir,
    }))
  },
}
