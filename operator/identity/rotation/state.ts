import * as v from 'valibot'
import { decode } from '../../../contract/codec.ts'
import { ok, type Result } from '../../../model/result.ts'
import type { RootRef } from '../root.ts'

/** What is kept of a rotation, so that the next leader goes on with it. It says which roots count: keep it from others. */
export interface RotationState {
  /** The root that signs leaves. */
  readonly signing: RootRef
  /** The root that is to sign next. It is trusted, and signs nothing yet. */
  readonly next?: RootRef
  /** Roots that signed before. They are trusted until everybody has a leaf of `signing`. */
  readonly old: readonly RootRef[]
  /** Roots that are out of the bundle, and trusted still by whoever has not said otherwise. */
  readonly leaving: readonly RootRef[]
  /** The highest generation of roots that there has been. A rotation never goes back to a lower one. */
  readonly generation: number
}

/**
 * Where the replacement of one root by another stands.
 *
 * `stable`: one root, nothing to do. `distributing`: everybody is told to trust the next one. `signing`: it signs, and
 * everybody gets a leaf of it. `retiring`: the old one is out of the bundle, and everybody is to say so.
 */
export type RotationPhase = 'stable' | 'distributing' | 'signing' | 'retiring'

export function phaseOf({ next, old, leaving }: RotationState): RotationPhase {
  if (next !== undefined) return 'distributing'
  if (old.length > 0) return 'signing'
  return leaving.length > 0 ? 'retiring' : 'stable'
}

/** The roots that members are to trust; the first is the one that signs. */
export function trustedIn({ signing, next, old }: RotationState): readonly [RootRef, ...RootRef[]] {
  return [signing, ...(next === undefined ? [] : [next]), ...old]
}

/** A mesh with one root. */
export function stableWith(signing: RootRef, generation: number): RotationState {
  return { signing: refOf(signing), old: [], leaving: [], generation }
}

/** Without whatever else a root is known by. */
export function refOf({ name, fingerprint }: RootRef): RootRef {
  return { name, fingerprint }
}

export function isSameRoot(a: RootRef, b: RootRef): boolean {
  return a.fingerprint === b.fingerprint
}

export function encodeState(state: RotationState): string {
  return JSON.stringify({ version: 1, ...state })
}

/** Reads what {@link encodeState} wrote. What is anything else is never taken for a mesh that starts anew. */
export function decodeState(text: string): Result<RotationState> {
  const kept = decode(Kept, text)
  if (!kept.ok) return kept
  const { version: _version, ...state } = kept.value
  return ok(state)
}

/** Roots in one list at most: a rotation has one, and each emergency adds one. */
const MAX_LISTED = 32

const Ref = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^root-[a-z0-9-]{1,64}$/)),
  fingerprint: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
})

const Kept = v.strictObject({
  version: v.literal(1),
  signing: Ref,
  next: v.exactOptional(Ref),
  old: v.pipe(v.array(Ref), v.maxLength(MAX_LISTED)),
  leaving: v.pipe(v.array(Ref), v.maxLength(MAX_LISTED)),
  generation: v.pipe(v.number(), v.integer(), v.minValue(1)),
})
