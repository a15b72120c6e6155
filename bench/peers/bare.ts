import { constants } from 'node:crypto'
import { join } from 'node:path'
import { NODE_FLAGS } from '../../sidecar/node-flags.ts'
import { freePort, startProcess, untilListening } from '../world/process.ts'
import type { Peer } from './peer.ts'

export interface BareSettings {
  readonly port: number
  readonly backendPort: number
  readonly key: string
  readonly cert: string
  readonly ca: string
  readonly options: Readonly<Record<string, string | number>>
}

/** Node's `tls` and `net` alone, with the flags and options that ours have: the floor of whatever runs on Node. */
export function bareNode(): Peer {
  return {
    programs: [],
    async start(world, directory) {
      const port = await freePort()
      const { server, root } = world.certificates
      const settings: BareSettings = {
        port,
        backendPort: world.backend.port,
        key: server.privateKey,
        cert: server.chain,
        ca: root,
        options: {
          minVersion: 'TLSv1.3',
          maxVersion: 'TLSv1.3',
          ecdhCurve: 'X25519:P-256',
          secureOptions: constants.SSL_OP_NO_TICKET,
        },
      }
      const program = join(import.meta.dirname, 'bare-program.ts')
      const child = await startProcess([process.execPath, ...NODE_FLAGS, program, JSON.stringify(settings)], {
        core: world.cores.proxy,
        logFile: join(directory, 'bare.log'),
        env: { NODE_ENV: 'production' },
      })
      await untilListening(port, child)
      return { pids: [child.pid], port, stop: child.stop }
    },
  }
}
