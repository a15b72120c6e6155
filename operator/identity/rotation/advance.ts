import type { RootRef } from '../root.ts'
import { isSameRoot, phaseOf, type RotationState, refOf } from './state.ts'

/**
 * One that trusts roots and shows a certificate: a sidecar, a gateway, an operator. Or a place that says whom to trust, such
 * as the ConfigMap with a namespace's trust anchors.
 */
export interface Member {
  /** For people: `pod shop/orders-0`. */
  readonly name: string
  /** Fingerprints of the roots that it is known to trust; undefined: nobody knows, because it is not connected. */
  readonly trusts: ReadonlySet<string> | undefined
  /** The fingerprint of the root that vouches for the certificate it shows; undefined: nobody knows. `none`: it shows none. */
  readonly root: string | 'none' | undefined
  /** For people: why nothing is heard of it, and what to do. Undefined: nothing is known to be wrong. */
  readonly trouble?: string
}

/** All that a step depends on. */
export interface RotationFacts {
  /** The root that is to sign in the end. It is ready to: an issuing CA is there. */
  readonly wanted: RootRef
  /** The generation that `wanted` is of. */
  readonly generation: number
  /** Everybody there is, or should be. */
  readonly members: readonly Member[]
  /**
   * Whether nobody has been waited for, for a while by now: handshakes that were begun with an older certificate or
   * bundle are over before the next step is taken.
   */
  readonly isSettled: boolean
}

/** What has come to be, for an Event and a log line. */
export interface RotationStep {
  readonly reason: 'RootDistributing' | 'RootSigning' | 'RootRetiring' | 'RootRotated' | 'RootDistrusted'
  /** The root that it is about. */
  readonly root: RootRef
}

export interface Advanced {
  /** The very state that was given, if nothing is to be done. */
  readonly state: RotationState
  readonly steps: readonly RotationStep[]
}

/**
 * One step of a rotation, if it is due. Time alone never makes one due: a member that is stuck or absent blocks, and
 * {@link waitingFor} names it.
 */
export function advance(state: RotationState, facts: RotationFacts): Advanced {
  const phase = phaseOf(state)
  if (phase === 'stable') return begin(state, facts)
  if (waitingFor(state, facts.members).length > 0 || !facts.isSettled) return { state, steps: [] }
  const { next, ...rest } = state
  switch (phase) {
    case 'distributing': {
      const signing = next ?? state.signing
      return {
        state: { ...rest, signing, old: [...state.old, state.signing] },
        steps: [{ reason: 'RootSigning', root: signing }],
      }
    }
    case 'signing':
      return {
        state: { ...state, old: [], leaving: [...state.leaving, ...state.old] },
        steps: state.old.map((root) => ({ reason: 'RootRetiring', root })),
      }
    case 'retiring':
      return { state: { ...state, leaving: [] }, steps: [{ reason: 'RootRotated', root: state.signing }] }
  }
}

function begin(state: RotationState, { wanted, generation }: RotationFacts): Advanced {
  const newest = Math.max(generation, state.generation)
  if (!isSameRoot(wanted, state.signing)) {
    return {
      state: { ...state, next: refOf(wanted), generation: newest },
      steps: [{ reason: 'RootDistributing', root: wanted }],
    }
  }
  return { state: newest === state.generation ? state : { ...state, generation: newest }, steps: [] }
}

/** Who keeps the rotation from its next step. */
export function waitingFor(state: RotationState, members: readonly Member[]): readonly Member[] {
  const { signing, next, leaving } = state
  const hasLeaf = ({ root }: Member) => root === signing.fingerprint || root === 'none'
  switch (phaseOf(state)) {
    case 'stable':
      return []
    case 'distributing':
      return members.filter(({ trusts }) => next !== undefined && trusts?.has(next.fingerprint) !== true)
    case 'signing':
      return members.filter((member) => !hasLeaf(member))
    case 'retiring':
      return members.filter((member) => {
        const { trusts } = member
        const isRid = trusts !== undefined && !leaving.some(({ fingerprint }) => trusts.has(fingerprint))
        return !isRid || !hasLeaf(member)
      })
  }
}

/**
 * Emergency (F06): roots that are distrusted are out at once, whoever has acknowledged what. Where the signing one is
 * among them, one that is trusted besides it signs from now on: the next, else an old one, else `replacement`, which
 * nobody trusts yet. Everybody else's part is to catch up.
 *
 * It depends on nothing but the state and what people wrote, so any operator may do it: no leader is waited for.
 */
export function distrust(
  state: RotationState,
  distrusted: ReadonlySet<string>,
  replacement: { readonly root: RootRef; readonly generation: number },
): Advanced {
  const isOut = ({ fingerprint }: RootRef) => distrusted.has(fingerprint)
  const { next, ...rest } = state
  const trusted = [state.signing, ...(next === undefined ? [] : [next]), ...state.old]
  const out = trusted.filter(isOut)
  if (out.length === 0) return { state, steps: [] }

  const [first, ...others] = trusted.filter((root) => !isOut(root))
  const isSigningOut = isOut(state.signing)
  const signing = isSigningOut ? (first ?? refOf(replacement.root)) : state.signing
  const keepsNext = !isSigningOut && next !== undefined && !isOut(next)
  return {
    state: {
      ...rest,
      signing,
      ...(keepsNext && { next }),
      old: keepsNext ? state.old.filter((root) => !isOut(root)) : others,
      leaving: [...state.leaving.filter((root) => !isSameRoot(root, signing)), ...out],
      generation: Math.max(state.generation, replacement.generation),
    },
    steps: [
      ...out.map((root): RotationStep => ({ reason: 'RootDistrusted', root })),
      ...(isSigningOut ? [{ reason: 'RootSigning', root: signing } as const] : []),
    ],
  }
}
