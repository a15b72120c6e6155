import { createServer } from 'node:net'
import type { BindAddress } from './placement.ts'

/**
 * Ports on which several workers of one process listen, each with a socket of its own: the kernel gives each connection to
 * one of them (SO_REUSEPORT).
 */
export interface SharedPorts {
  /** Where to bind for the port of this name. Rejects where it is taken by somebody else. */
  resolve(name: string, address: BindAddress, ipv6Only: boolean): Promise<BindAddress>
  bound(name: string, address: BindAddress): void
}

/** Of the worker that binds first, and finds out what is free. */
export interface ClaimedPorts extends SharedPorts {
  /** What was bound last, by name: for the other workers. */
  entries(): ReadonlyMap<string, BindAddress>
}

/**
 * Sockets of one user that say SO_REUSEPORT may share a port with any other of that user. So that two programs do not by
 * mistake, each port is bound once without it first.
 */
export function claimPorts(): ClaimedPorts {
  const known = new Map<string, BindAddress>()
  return {
    async resolve(_name, address, ipv6Only) {
      // The kernel does not choose one that is in use, whoever shares it.
      if (address.port !== 0) await tryAlone(address, ipv6Only)
      return address
    },
    bound: (name, address) => void known.set(name, address),
    entries: () => known,
  }
}

/** What the first worker has bound, and nothing else, is bound here too. `known` is read for each port anew. */
export function followPorts(known: () => ReadonlyMap<string, BindAddress>): SharedPorts {
  return {
    async resolve(name) {
      const address = known().get(name)
      if (address === undefined) throw new Error('the first worker has not bound it')
      return address
    },
    bound() {},
  }
}

function tryAlone({ host, port }: BindAddress, ipv6Only: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host, port, ipv6Only, exclusive: true }, () => server.close(() => resolve()))
  })
}
