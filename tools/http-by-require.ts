import type { Plugin } from 'esbuild'

/**
 * Has bundles load `node:http` by `require`.
 *
 * An ES module's import of it reads every export, and with them the lazy ones that are fetch's: 2.9 MiB of private memory and
 * some milliseconds for a WebSocket that nobody uses.
 */
export const httpByRequire: Plugin = {
  name: 'http-by-require',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(?:node:)?http$/ }, ({ kind }) =>
      kind === 'require-call'
        ? { path: 'node:http', external: true }
        : { path: 'node:http', namespace: 'http-by-require' },
    )
    onLoad({ filter: /.*/, namespace: 'http-by-require' }, () => ({
      contents: "module.exports = require('node:http')",
      loader: 'js',
    }))
  },
}
