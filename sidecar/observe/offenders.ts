import { formatIpAddress, readIpAddress } from '../../model/match/ip-address.ts'
import { type SpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Direction, RequestRecord } from '../serve/observation.ts'
import { type Offence, offenceOf } from './offence.ts'
import { pseudonymOf } from './pseudonym.ts'

/** What somebody who is refused is known by. */
export type Trait = 'network' | 'identity' | 'subject'

/** Offenders of one kind that are told apart at once. Those that come later count, but have no count of their own. */
export const MAX_OFFENDERS = 4_096

/** Of each kind, how many are shown by name: those with the most refusals. */
export const SHOWN_OFFENDERS = 5

/** Characters of a subject that is told apart from others. Longer ones are one. */
const MAX_SUBJECT = 256

/** Fewer refusals than this make nobody an offender that is shown. */
const MIN_REFUSALS = 3

/** Milliseconds of a half of the window: a count is of the last 30 to 60 seconds. */
export const HALF_WINDOW_MS = 30_000

/** What is counted by one trait of those who commit one offence. */
interface Tally {
  readonly direction: Direction
  readonly offence: Offence
  readonly trait: Trait
  now: Map<string, number>
  before: Map<string, number>
  shown: ReadonlySet<string>
}

export interface Offenders {
  add(record: RequestRecord): void
}

/**
 * Who is refused again and again, by network, by identity of the mesh and by user: for alerts, which have to tell one client that
 * is refused a thousand times from a thousand clients that are refused once.
 *
 * A metric with a series for each client could be filled by any client. So clients are counted here, over the last minute, and the
 * metric has a series for the few with the most refusals, and one for how many there were. Users have no names in it but that which the
 * decision log has as `user.hash`.
 */
export function createOffenders(options: { readonly metrics: Metrics; readonly clock: Clock }): Offenders {
  const { metrics, clock } = options
  const refusals = metrics.gauge({
    name: 'hauberk_offender_refusals',
    help: 'Refusals in the last 30 to 60 seconds of those who were refused most.',
    labels: ['direction', 'offence', 'by', 'offender'],
  })
  const offenders = metrics.gauge({
    name: 'hauberk_offenders',
    help: 'How many different clients were refused in the last 30 to 60 seconds.',
    labels: ['direction', 'offence', 'by'],
    // Several workers see the same clients.
    together: 'max',
  })
  const tallies = new Map<string, Tally>()
  let turnedMs = clock.monotonic()

  const turn = () => {
    const elapsedMs = clock.monotonic() - turnedMs
    if (elapsedMs < HALF_WINDOW_MS) return
    for (const tally of tallies.values()) {
      tally.before = elapsedMs < 2 * HALF_WINDOW_MS ? tally.now : new Map()
      tally.now = new Map()
    }
    turnedMs = clock.monotonic()
  }
  const count = (direction: Direction, offence: Offence, trait: Trait, name: string) => {
    const key = `${direction} ${offence} ${trait}`
    let tally = tallies.get(key)
    if (tally === undefined) {
      tally = { direction, offence, trait, now: new Map(), before: new Map(), shown: new Set() }
      tallies.set(key, tally)
    }
    const counted = tally.now.get(name)
    if (counted !== undefined || tally.now.size < MAX_OFFENDERS) tally.now.set(name, (counted ?? 0) + 1)
  }
  const show = (tally: Tally) => {
    const { direction, offence, trait, now, before } = tally
    const sums = new Map(before)
    for (const [name, counted] of now) sums.set(name, (sums.get(name) ?? 0) + counted)
    offenders.handle({ direction, offence, by: trait }).set(sums.size)
    const most = [...sums].filter(([, counted]) => counted >= MIN_REFUSALS).sort(([, a], [, b]) => b - a)
    const shown = most.slice(0, SHOWN_OFFENDERS).map(([name, counted]) => {
      const offender = trait === 'subject' ? pseudonymOf(name) : name
      refusals.handle({ direction, offence, by: trait, offender }).set(counted)
      return offender
    })
    for (const offender of tally.shown) {
      if (!shown.includes(offender)) refusals.remove({ direction, offence, by: trait, offender })
    }
    tally.shown = new Set(shown)
  }
  metrics.beforeScrape(() => {
    turn()
    for (const tally of tallies.values()) show(tally)
  })

  return {
    add(record) {
      const offence = offenceOf(record)
      if (offence === undefined) return
      turn()
      const { direction, clientIp, spiffeId, subject } = record
      // What a workload calls itself came from nowhere.
      if (direction !== 'outbound') count(direction, offence, 'network', networkOf(clientIp))
      const account = spiffeId === undefined ? undefined : serviceAccountOf(spiffeId as SpiffeId)
      if (account !== undefined) count(direction, offence, 'identity', `${account.namespace}/${account.serviceAccount}`)
      if (subject !== undefined) count(direction, offence, 'subject', subject.length <= MAX_SUBJECT ? subject : 'long')
    },
  }
}

/** The network that an address is of: of IPv4 its /24, of IPv6 its /64, which is what one customer gets (RFC 6177). */
export function networkOf(address: string): string {
  const read = readIpAddress(address)
  if (read === undefined) return 'unreadable'
  const text = formatIpAddress(read)
  if (read.version === 4) return `${text.slice(0, text.lastIndexOf('.'))}.0/24`
  return `${text.split(':').slice(0, 4).join(':')}::/64`
}
