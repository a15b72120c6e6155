import { readFileSync } from 'node:fs'

/** Descriptors that are for neither clients nor upstreams: files, the session with the operator, the admin port. */
const RESERVED = 64

/** Of the others, the share that clients may have. Whoever is let in needs one towards an upstream too, sooner or later. */
const CLIENT_SHARE = 0.6

/**
 * Client connections that a process may have by the descriptors that it may have: beyond that it could accept them, and
 * not serve anybody (F17). Undefined where the system does not tell.
 */
export function maxConnectionsByDescriptors(limits: string | undefined = readLimits()): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits ?? '')?.[1]
  return soft === undefined ? undefined : Math.max(1, Math.floor((Number(soft) - RESERVED) * CLIENT_SHARE))
}

/** Of this process: Node has raised its soft limit to the hard one. */
function readLimits(): string | undefined {
  try {
    return readFileSync('/proc/self/limits', 'latin1')
  } catch {
    return undefined
  }
}
