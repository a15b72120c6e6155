import { type Clock, sleep } from '../../../runtime/clock.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Authority, RootsInUse } from '../authority.ts'
import { CustomRootError } from '../custom-root.ts'
import type { Root, RootRef } from '../root.ts'
import { isCustom, type Roots } from '../roots.ts'
import { type Advanced, advance, distrust, type Member, type RotationStep, waitingFor } from './advance.ts'
import type { KeptRotation, RotationStore } from './rotation-store.ts'
import { isSameRoot, phaseOf, type RotationPhase, type RotationState, stableWith, trustedIn } from './state.ts'

/** What people want of the roots: `spec.certificates` of MeshConfig. */
export interface WantedRoots {
  /** At least 1. Raised by one to have another root. */
  readonly rootGeneration: number
  /** Fingerprints of roots that nobody may trust any more. */
  readonly distrustedRoots: readonly string[]
}

/** `status.certificateAuthority` of MeshConfig. */
export interface RotationStatus {
  readonly phase: RotationPhase
  /** The signing one first. */
  readonly roots: readonly RootStatus[]
  /** Who keeps it from its next step, by name, and what is known to be wrong there; 20 at most, those first. */
  readonly waitingFor: readonly string[]
  /** How many do. */
  readonly waiting: number
  /** Why the root that is wanted cannot be had. */
  readonly problem?: string
}

export interface RootStatus {
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
  /** RFC 3339. */
  readonly notAfter: string
  /** It signs; will sign next; is trusted until everybody has a newer leaf; is out of the bundle. */
  readonly use: 'Signing' | 'Next' | 'Old' | 'Leaving'
}

export interface RootRotationOptions {
  readonly authority: Authority
  readonly store: RotationStore
  readonly wanted: () => WantedRoots
  /**
   * Everybody who trusts roots and shows certificates, or should: every sidecar of every operator (`membersOf`), and each
   * operator itself. Asked of the leader only.
   */
  readonly members: () => readonly Member[]
  /** Whether this operator may take steps. The others follow what the leader has kept. Default: it may. */
  readonly isLeader?: () => boolean
  /** Called for each step that this operator has taken: the base of Events. */
  readonly onStep?: (step: RotationStep) => void
  readonly clock: Clock
  readonly log: Log
}

/** Replaces roots as people want it, one step after the other. */
export interface RootRotation {
  /**
   * Reads what is kept, takes the steps that are due, and has the authority use the roots that count. One at a time: a
   * call while another one works is answered by the next one after it. Rejects when a store fails; what is in use stays.
   */
  reconcile(): Promise<void>
  /** Reconciles now and then, and soon after each `touch`, until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>
  /** What is wanted may have changed, or what members have said. */
  touch(): void
  status(): RotationStatus
  /** Calls `listener` when the status may be another. Returns how to stop. */
  onChange(listener: () => void): () => void
}

/** Milliseconds between looks: at a stable mesh, and while a rotation goes on. */
const IDLE_MS = 5_000
const BUSY_MS = 1_000

/**
 * Milliseconds for which nobody must have been waited for. A handshake is over within 1 s (`connectMs` of sidecars), so
 * what was begun with the certificate or the bundle before is no more.
 */
const SETTLE_MS = 2_000

/** Roots that are tried for one that is not distrusted, at most. */
const MAX_GENERATIONS_AHEAD = 64

const MAX_NAMED = 20
/** Characters of a name and what is wrong there. */
const MAX_NAME = 512

/** Milliseconds in which touches are gathered: a push is acknowledged by many at nearly the same time. */
const GATHER_MS = 250

/** Attempts at a step while other operators take steps too. */
const MAX_ATTEMPTS = 5

/** What is kept is gone, or others change it all the time. What is in use stays. */
export class RotationLostError extends Error {
  override readonly name = 'RotationLostError'
  readonly code = 'lost'
}

/**
 * The roots that count when an operator starts: as kept, or the first one of a mesh that is new. What is distrusted
 * already is out from the start. For `openAuthority`.
 */
export async function firstRoots(roots: Roots, store: RotationStore, wanted: WantedRoots): Promise<RootsInUse> {
  for (;;) {
    const kept = await store.read()
    const { state } =
      kept === undefined
        ? { state: await firstState(roots, wanted) }
        : await withoutDistrusted(kept.state, roots, wanted)
    if (state === kept?.state || (await store.write(state, kept?.version))) return inUse(state, roots, wanted)
  }
}

export function createRootRotation(options: RootRotationOptions): RootRotation {
  const { authority, store, wanted, members, isLeader = () => true, onStep = () => {}, clock, log } = options
  const { roots } = authority
  const listeners = new Set<() => void>()
  let problem: string | undefined
  let standing: RotationStatus = { phase: 'stable', roots: [], waitingFor: [], waiting: 0 }
  /** Monotonic milliseconds since when nobody is waited for in what is kept; undefined: somebody is. */
  let ready: { readonly version: string; readonly sinceMs: number } | undefined
  let lastWanted = ''
  let working: Promise<void> | undefined
  let following: Promise<void> | undefined
  let wake = () => {}

  const pass = async (): Promise<void> => {
    const target = wanted()
    lastWanted = JSON.stringify(target)
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const kept = await store.read()
      if (kept === undefined) throw new RotationLostError('what was kept of the roots is gone')
      const advanced = await nextOf(kept, target)
      // Kept first, done then: an operator that dies in between leaves what the next one goes on with.
      if (advanced.state !== kept.state && !(await store.write(advanced.state, kept.version))) continue
      announce(advanced)
      await authority.use(await inUse(advanced.state, roots, target))
      tell(await statusOf(advanced.state))
      return
    }
    throw new RotationLostError('other operators take steps all the time')
  }

  const nextOf = async ({ state, version }: KeptRotation, target: WantedRoots): Promise<Advanced> => {
    const emergency = await withoutDistrusted(state, roots, target)
    if (emergency.state !== state || !isLeader()) return emergency
    const isStable = phaseOf(state) === 'stable'
    const everybody = isStable ? [] : members()
    const isReady = !isStable && waitingFor(state, everybody).length === 0
    if (!isReady) ready = undefined
    else if (ready?.version !== version) ready = { version, sinceMs: clock.monotonic() }
    const isSettled = ready !== undefined && clock.monotonic() - ready.sinceMs >= SETTLE_MS
    const goal = isStable ? await goalFor(state, target) : { wanted: state.signing, generation: state.generation }
    return advance(state, { ...goal, members: everybody, isSettled })
  }

  /** The root that is wanted, ready to sign. Where it cannot be had, the one that signs goes on to. */
  const goalFor = async (state: RotationState, target: WantedRoots) => {
    try {
      const { root, generation } = await wantedRoot(roots, target, state, await roots.brought())
      if (!isSameRoot(root, state.signing)) await roots.prove(root)
      problem = undefined
      return { wanted: root, generation }
    } catch (err) {
      const message = err instanceof Error ? err.message : String(err)
      if (problem !== message) log.error('the root that is wanted cannot be had, the one that signs stays', { err })
      problem = message
      return { wanted: state.signing, generation: state.generation }
    }
  }

  const announce = ({ state, steps }: Advanced): void => {
    for (const step of steps) {
      const fields = { 'event.reason': step.reason, 'hauberk.root': step.root.name, 'hauberk.phase': phaseOf(state) }
      log.info('root rotation', fields)
      onStep(step)
    }
  }

  const statusOf = async (state: RotationState): Promise<RotationStatus> => {
    const waiting = isLeader() && phaseOf(state) !== 'stable' ? waitingFor(state, members()) : []
    const uses = [
      { use: 'Signing', refs: [state.signing] },
      { use: 'Next', refs: state.next === undefined ? [] : [state.next] },
      { use: 'Old', refs: state.old },
      { use: 'Leaving', refs: state.leaving },
    ] as const
    const listed = uses.flatMap(({ use, refs }) =>
      refs.map(async (ref): Promise<RootStatus> => {
        const { certificate, fingerprint } = await roots.read(ref)
        return { fingerprint, notAfter: new Date(certificate.notAfterMs).toISOString(), use }
      }),
    )
    return {
      phase: phaseOf(state),
      roots: await Promise.all(listed),
      waitingFor: namesOf(waiting),
      waiting: waiting.length,
      ...(problem !== undefined && { problem }),
    }
  }

  const tell = (next: RotationStatus): void => {
    if (JSON.stringify(next) === JSON.stringify(standing)) return
    standing = next
    for (const listener of [...listeners]) listener()
  }

  const reconcile = (): Promise<void> => {
    if (working === undefined) {
      working = pass().finally(() => {
        working = undefined
      })
      return working
    }
    following ??= working
      .catch(() => {})
      .then(() => {
        following = undefined
        return reconcile()
      })
    return following
  }

  return {
    reconcile,
    async run(signal) {
      let isWarned = false
      while (!signal.aborted) {
        const pause = new AbortController()
        wake = () => pause.abort()
        try {
          await reconcile()
          isWarned = false
        } catch (err) {
          if (!isWarned) log.warn('the roots are not looked after, what is in use stays', { err })
          isWarned = true
        }
        const waitMs = standing.phase === 'stable' ? IDLE_MS : BUSY_MS
        const rest = { keepAlive: false }
        await sleep(clock, GATHER_MS, { ...rest, signal }).catch(() => {})
        const either = AbortSignal.any([signal, pause.signal])
        await sleep(clock, waitMs - GATHER_MS, { ...rest, signal: either }).catch(() => {})
      }
    },
    touch() {
      if (standing.phase !== 'stable' || JSON.stringify(wanted()) !== lastWanted) wake()
    },
    status: () => standing,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

function namesOf(waiting: readonly Member[]): readonly string[] {
  const troubled = waiting.filter(({ trouble }) => trouble !== undefined)
  const others = waiting.filter(({ trouble }) => trouble === undefined)
  return [...troubled, ...others].slice(0, MAX_NAMED).map(({ name, trouble }) => {
    const text = trouble === undefined ? name : `${name} (${trouble})`
    return text.length <= MAX_NAME ? text : `${text.slice(0, MAX_NAME - 1)}…`
  })
}

/** A mesh that is new has the root that is wanted. One from before roots could be replaced has its first. */
async function firstState(roots: Roots, wanted: WantedRoots): Promise<RotationState> {
  const existing = await roots.existing(1)
  if (existing !== undefined) return (await withoutDistrusted(stableWith(existing, 1), roots, wanted)).state
  const { root, generation } = await wantedRoot(roots, wanted, undefined, await roots.brought())
  await roots.prove(root)
  return stableWith(root, generation)
}

/** Takes what is distrusted out of the state. */
async function withoutDistrusted(state: RotationState, roots: Roots, wanted: WantedRoots): Promise<Advanced> {
  const out = new Set(wanted.distrustedRoots)
  if (!trustedIn(state).some(({ fingerprint }) => out.has(fingerprint))) return { state, steps: [] }
  // In an emergency, a root that was brought and cannot be used is no reason to go on with the one that is distrusted.
  const brought = await provenBrought(roots, out)
  const replacement = await wantedRoot(roots, wanted, state, brought)
  await roots.prove(replacement.root)
  return distrust(state, out, replacement)
}

async function provenBrought(roots: Roots, distrusted: ReadonlySet<string>): Promise<Root | undefined> {
  try {
    const brought = await roots.brought()
    if (brought === undefined || distrusted.has(brought.fingerprint)) return undefined
    await roots.prove(brought)
    return brought
  } catch (error) {
    if (error instanceof CustomRootError) return undefined
    throw error
  }
}

/**
 * The root that is to sign in the end: the one that a user brought, else the one of the wanted generation. A generation
 * whose root is distrusted is passed over. One that was brought and taken away again stays, until a higher generation is
 * wanted or it is distrusted.
 */
async function wantedRoot(
  roots: Roots,
  { rootGeneration, distrustedRoots }: WantedRoots,
  state: RotationState | undefined,
  brought: Root | undefined,
): Promise<{ readonly root: Root; readonly generation: number }> {
  const isOut = ({ fingerprint }: RootRef) => distrustedRoots.includes(fingerprint)
  const generation = Math.max(rootGeneration, state?.generation ?? 1)
  if (brought !== undefined && !isOut(brought)) return { root: brought, generation }
  if (state !== undefined && isCustom(state.signing) && !isOut(state.signing) && rootGeneration <= state.generation) {
    return { root: await roots.read(state.signing), generation }
  }
  for (let candidate = generation; candidate < generation + MAX_GENERATIONS_AHEAD; candidate += 1) {
    const root = await roots.made(candidate)
    if (!isOut(root)) return { root, generation: candidate }
  }
  throw new Error(`each of ${MAX_GENERATIONS_AHEAD} roots is distrusted`)
}

async function inUse(state: RotationState, roots: Roots, { distrustedRoots }: WantedRoots): Promise<RootsInUse> {
  const [signing, ...others] = trustedIn(state)
  return {
    trusted: [await roots.read(signing), ...(await Promise.all(others.map((ref) => roots.read(ref))))],
    distrusted: [...new Set(distrustedRoots)].sort(),
  }
}
