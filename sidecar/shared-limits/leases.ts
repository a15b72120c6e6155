import type { CountMemory, LeasedRate, ReplicaShare, SharedQuota } from '../../model/filter.ts'
import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { QuotaAnswer, QuotaExchange, QuotaStore } from './quota-store.ts'

/** Clients of one limit that a worker keeps leases for. The oldest goes first; what it owed is told all the same. */
export const MAX_LEASES = 65_536

/** Clients that the store is asked about at once. */
export const MAX_BATCH = 512

/** Clients that wait to be asked about, of all limits. One more is not asked about now: its replica keeps to its share. */
export const MAX_WAITING = 16_384

/** Milliseconds between two batches, so that a busy client costs some questions and not one a request. */
export const BATCH_GAP_MS = 5

/** Milliseconds of a client's requests that are leased ahead. */
export const LEASE_AHEAD_MS = 100

/** Milliseconds after which what is left of a lease goes back: other replicas may want it. */
export const LEASE_MS = 1_000

/** Of a burst, the part that all replicas together lease ahead: what each of them may not know of the others, at most. */
const LEASED_PART = 0.05

/** Milliseconds after which a client that is refused is asked about anew. */
export const ASK_AGAIN_MS = 100

export interface QuotaDeps {
  readonly store: QuotaStore
  readonly share: ReplicaShare
  /** What names a client of a limit in the store. */
  readonly idOf: (limit: string, key: string) => string
  readonly clock: Clock
  readonly events: QuotaEvents
}

export interface QuotaEvents {
  /** The store has answered, or not. */
  exchanged(clients: number, outcome: 'answered' | 'failed'): void
  granted(requests: number): void
}

/** What a worker knows of one client. */
interface Client {
  readonly limit: Limit
  readonly key: string
  readonly id: string
  granted: number
  /** What was granted when the store answered last. */
  lease: number
  /** Monotonic; from then on what was granted is not used any more. */
  untilMs: number
  /** Let through and not told of yet. */
  owed: number
  /** Let through since the store was asked last. */
  used: number
  askedAtMs: number
  /** It waits to be asked about, or is being asked about. */
  isUnderWay: boolean
}

interface Limit {
  readonly rate: LeasedRate
  readonly memory: CountMemory
}

/** The leases of one worker. */
export interface WorkerQuota extends SharedQuota {
  /** Asks nobody any more. */
  close(): void
}

/**
 * Keeps a worker's leases. The store is asked in the background, in batches: requests never wait for it.
 *
 * A client's first requests are let through as far as this replica's share goes, and told of. From the answer on the worker
 * knows what all replicas have counted, and is granted ahead what the client is likely to ask for. What is granted and not used
 * goes back.
 */
export function createSharedQuota({ store, share, idOf, clock, events }: QuotaDeps): WorkerQuota {
  const waiting: Client[] = []
  /** Those with something granted. */
  const holders = new Set<Client>()
  let isAsking = false
  let isClosed = false
  let cancelAsk: CancelTimer | undefined
  let cancelReturn: CancelTimer | undefined

  const queue = (client: Client): void => {
    if (client.isUnderWay || isClosed || !store.isReady || waiting.length >= MAX_WAITING) return
    client.isUnderWay = true
    waiting.push(client)
    if (!isAsking && cancelAsk === undefined) askAfter(0)
  }

  const askAfter = (delayMs: number): void => {
    const due = () => {
      cancelAsk = undefined
      if (waiting.length > 0) void ask()
    }
    cancelAsk = clock.setTimer(delayMs, due, { keepAlive: false })
  }

  const ask = async (): Promise<void> => {
    isAsking = true
    const askedAtMs = clock.monotonic()
    const batch = waiting.splice(0, MAX_BATCH).map((client) => ({ client, told: tellOf(client, askedAtMs) }))
    let answers: readonly QuotaAnswer[] = []
    try {
      answers = await store.exchange(batch.map(({ told }) => told))
      events.exchanged(batch.length, 'answered')
    } catch {
      // The store says why. Each replica keeps to its share now.
      events.exchanged(batch.length, 'failed')
    }
    const nowMs = clock.monotonic()
    for (const [i, { client, told }] of batch.entries()) {
      client.isUnderWay = false
      const answer = answers[i]
      // What was given back is lost, and what was owed is told the next time.
      if (answer === undefined) client.owed += Math.max(0, told.owed)
      else take(client, answer, nowMs)
    }
    isAsking = false
    if (!isClosed) askAfter(BATCH_GAP_MS)
  }

  const tellOf = (client: Client, nowMs: number): QuotaExchange => {
    const { rate } = client.limit
    const unused = nowMs >= client.untilMs ? client.granted : 0
    client.granted -= unused
    // At most what is left of it here: what was let through while nobody answered has been earned back meanwhile.
    const level = client.limit.memory.read(client.key)
    const owed = Math.min(client.owed, Math.ceil(level / share.replicas))
    // Of a client that comes rarely nothing is kept from other replicas.
    const elapsedMs = nowMs - client.askedAtMs
    const isBusy = store.isSettled && client.used > 1 && elapsedMs < LEASE_MS
    const ahead = isBusy ? Math.ceil((client.used / Math.max(BATCH_GAP_MS, elapsedMs)) * LEASE_AHEAD_MS) : 0
    const fair = Math.floor(Math.min(rate.burst * LEASED_PART, (rate.burst - level) / 2) / share.replicas)
    const told: QuotaExchange = {
      id: client.id,
      rate,
      owed: owed - unused,
      wanted: Math.max(0, Math.min(ahead, fair) - client.granted),
      believed: Math.max(0, level - share.replicas * owed),
    }
    client.owed = 0
    client.used = 0
    client.askedAtMs = nowMs
    return told
  }

  const take = (client: Client, { granted, counted }: QuotaAnswer, nowMs: number): void => {
    const { memory } = client.limit
    events.granted(granted)
    // Of what was let through meanwhile the store does not know yet.
    const known = counted + share.replicas * client.owed
    memory.write(client.key, store.isSettled ? known : Math.max(known, memory.read(client.key)))
    client.granted += granted
    client.lease = client.granted
    if (client.granted === 0) return void holders.delete(client)
    client.untilMs = nowMs + LEASE_MS
    holders.add(client)
    returnLater()
  }

  const returnLater = (): void => {
    cancelReturn ??= clock.setTimer(
      LEASE_MS / 2,
      () => {
        cancelReturn = undefined
        const nowMs = clock.monotonic()
        for (const client of holders) {
          if (nowMs < client.untilMs) continue
          holders.delete(client)
          if (client.granted > 0) queue(client)
        }
        if (holders.size > 0 && !isClosed) returnLater()
      },
      { keepAlive: false },
    )
  }

  return {
    leasesOf(name, rate, memory) {
      const limit: Limit = { rate, memory }
      const clients = new Map<string, Client>()
      const clientOf = (key: string): Client => {
        const known = clients.get(key)
        if (known !== undefined) return known
        if (clients.size >= MAX_LEASES) clients.delete(clients.keys().next().value as string)
        const client: Client = {
          ...{ limit, key, id: idOf(name, key), granted: 0, lease: 0, untilMs: 0, owed: 0, used: 0 },
          ...{ askedAtMs: Number.NEGATIVE_INFINITY, isUnderWay: false },
        }
        clients.set(key, client)
        return client
      }
      return {
        has(key, nowMs) {
          const client = clients.get(key)
          return client !== undefined && client.granted > 0 && nowMs < client.untilMs
        },
        use(key, count) {
          const client = clientOf(key)
          client.granted -= count
          client.used += count
          if (client.granted * 2 <= client.lease) queue(client)
        },
        owe(key, count) {
          const client = clientOf(key)
          client.owed += count
          client.used += count
          queue(client)
        },
        refused(key, nowMs) {
          const client = clientOf(key)
          if (nowMs - client.askedAtMs >= ASK_AGAIN_MS) queue(client)
        },
      }
    },
    close() {
      isClosed = true
      cancelAsk?.()
      cancelReturn?.()
    },
  }
}
