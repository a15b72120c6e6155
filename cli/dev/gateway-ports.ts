import type { WorkloadId } from '../../model/workload-id.ts'
import { isFree, type PortBook, whyNotFree } from './ports.ts'

/** Which ports of this machine stand for 443 and 80 of a Gateway; 0 is any free one. */
export interface PublishedPorts {
  readonly https: number
  readonly http: number
}

/** A port that was asked for cannot be had. The message names it, and the flag that chooses another. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError'
}

/** Added to ports of a Gateway that no flag names, so that 9443 is found at 17443. */
const OFFSET = 8_000

/**
 * Where each port of a Gateway is published. The first Gateway with a port 443 or 80 gets the one asked for; what else
 * there is gets its own number plus 8000 if that is free, or any.
 */
export function gatewayPorts({ https, http }: PublishedPorts, book: PortBook) {
  const given = new Map<string, Promise<number>>()
  const holders = new Map<number, WorkloadId>()

  const choose = async (gateway: WorkloadId, port: number): Promise<number> => {
    const purpose = `${gateway} gateway ${port}`
    const asked =
      port === 443
        ? { port: https, flag: '--https-port' }
        : port === 80
          ? { port: http, flag: '--http-port' }
          : undefined
    const holder = holders.get(port) ?? gateway
    holders.set(port, holder)
    if (asked !== undefined && holder === gateway) {
      if (asked.port === 0) return book.take(purpose)
      const trouble = await whyNotFree(asked.port)
      if (trouble === undefined) return asked.port
      const what = trouble === 'EADDRINUSE' ? 'is taken by another program' : `cannot be listened on (${trouble})`
      throw new PortTakenError(
        `port ${asked.port} ${what}, and the gateway needs it: choose another one with ${asked.flag}`,
      )
    }
    if (asked === undefined && port + OFFSET <= 65_535 && (await isFree(port + OFFSET))) return port + OFFSET
    return book.take(purpose)
  }
  return (gateway: WorkloadId, port: number): Promise<number> => {
    const key = `${gateway} ${port}`
    const known = given.get(key) ?? choose(gateway, port)
    given.set(key, known)
    return known
  }
}
