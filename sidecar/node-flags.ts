import { fileURLToPath } from 'node:url'

/**
 * What Node is told where it runs a sidecar or gateway; `images/sidecar.Dockerfile` says the same, beside the bound of the
 * heap that a container has.
 *
 * - `--max-semi-space-size=1`: what a request leaves behind dies young in any space, and larger ones stay as large as
 *   the busiest moment made them.
 * - `--openssl-config`: full handshakes only, and two messages, two sessions and a write less in each of them.
 */
export const NODE_FLAGS: readonly string[] = [
  '--max-semi-space-size=1',
  // Beside the bundle, too.
  `--openssl-config=${fileURLToPath(new URL('./openssl.cnf', import.meta.url))}`,
]
