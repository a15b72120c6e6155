import { lookup as systemLookup } from 'node:dns'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { oneSpelling } from './destination.ts'

/** The addresses of a host; rejects where it has none. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** What this sidecar's own DNS says of hosts, remembered for a while. */
export interface Names {
  /** One of `hosts` that leads to `address`. DNS is asked where none is known to, and then this takes 3 s at most. */
  leadingTo(address: string, hosts: readonly string[]): string | undefined | Promise<string | undefined>
}

/** Milliseconds that an answer counts. Longer than most records live: a client may hold on to an address for that long. */
const KEEP_MS = 300_000

/** Hosts remembered at once; the one that was met first is forgotten first. */
export const MAX_HOSTS = 1_024

/** Addresses remembered of one host; the oldest is forgotten first. */
export const MAX_ADDRESSES = 256

/** How often is asked before an address is not the host's: a resolver behind another one may have another answer. */
const ATTEMPTS = 3

/** Milliseconds between two questions about one host. */
const ASK_INTERVAL_MS = 250

/** Milliseconds that anybody waits for DNS. */
const WAIT_MS = 3_000

interface Known {
  /** Until when each of them counts, in monotonic milliseconds. */
  readonly addresses: Map<string, number>
  /** The question under way: how it comes out is found in `addresses`. True: there was an answer. */
  asking: Promise<boolean> | undefined
  askedAtMs: number
}

export function createNames(clock: Clock, lookup: Lookup = systemAddresses): Names {
  const hosts = new Map<string, Known>()

  const knownOf = (host: string): Known => {
    const known = hosts.get(host)
    if (known !== undefined) return known
    if (hosts.size >= MAX_HOSTS) hosts.delete(hosts.keys().next().value!)
    const made: Known = { addresses: new Map(), asking: undefined, askedAtMs: Number.NEGATIVE_INFINITY }
    hosts.set(host, made)
    return made
  }

  const holds = (host: string, address: string): boolean => {
    const untilMs = hosts.get(host)?.addresses.get(address)
    return untilMs !== undefined && clock.monotonic() < untilMs
  }

  const remember = ({ addresses }: Known, found: readonly string[]): void => {
    const untilMs = clock.monotonic() + KEEP_MS
    for (const address of found.slice(0, MAX_ADDRESSES).map(oneSpelling)) {
      addresses.delete(address)
      if (addresses.size >= MAX_ADDRESSES) addresses.delete(addresses.keys().next().value!)
      addresses.set(address, untilMs)
    }
  }

  const ask = async (host: string, known: Known): Promise<boolean> => {
    const waitMs = known.askedAtMs + ASK_INTERVAL_MS - clock.monotonic()
    if (waitMs > 0) await sleep(clock, waitMs, { keepAlive: false })
    known.askedAtMs = clock.monotonic()
    try {
      remember(known, await lookup(host))
      return true
    } catch {
      return false
    }
  }

  const asked = (host: string): Promise<boolean> => {
    const known = knownOf(host)
    known.asking ??= ask(host, known).finally(() => {
      known.asking = undefined
    })
    return known.asking
  }

  return {
    leadingTo(address, hosts) {
      const known = hosts.find((host) => holds(host, address))
      if (known !== undefined || hosts.length === 0) return known
      const { promise, resolve } = Promise.withResolvers<string | undefined>()
      let isOver = false
      const settle = (host: string | undefined) => {
        isOver = true
        cancel()
        resolve(host)
      }
      const cancel = clock.setTimer(WAIT_MS, () => settle(undefined), { keepAlive: false })
      // Nobody waits for a slow answer about another host.
      const askAbout = async (host: string): Promise<boolean> => {
        const isAnswered = await asked(host)
        if (holds(host, address)) settle(host)
        return isAnswered
      }
      const search = async () => {
        let open = hosts
        for (let attempt = 0; attempt < ATTEMPTS && open.length > 0 && !isOver; attempt++) {
          const answers = await Promise.all(open.map(askAbout))
          open = open.filter((_, i) => answers[i] === true)
        }
        settle(undefined)
      }
      void search()
      return promise
    },
  }
}

/** As the application's own resolver does: with the hosts file, and the search list of the pod. */
async function systemAddresses(host: string): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>()
  systemLookup(host, { all: true }, (error, found) => {
    if (error !== null) reject(error)
    else resolve(found.map(({ address }) => address))
  })
  return promise
}
