/** Points of one member: the more, the more even the shares. */
const POINTS_PER_MEMBER = 128

/** Points of a ring, so that very many members cost no more memory than some do (128 KiB). */
export const MAX_POINTS = 16_384

/** Members that a ring can tell apart; the first ones by their order. */
export const MAX_MEMBERS = 65_536

/** Points that are walked past before the members are gone through one by one. */
const MAX_WALK = 256

/** How far above the average a member's requests may be before its keys go to the next one (Mirrokni et al., 2016). */
const MAX_LOAD = 1.25

export interface RingMember {
  /** What its places on the ring come from: the same for all who are to agree. */
  readonly key: string
  readonly outstanding: number
  isAvailable(nowMs: number): boolean
}

/**
 * Consistent hashing: a key leads to the same member as long as that is there, and when members come or go only their share
 * of the keys moves. Loads are bounded: a key that everybody uses does not bring its member down.
 */
export class HashRing<M extends RingMember> {
  readonly #members: readonly M[]
  /** `hash * MAX_MEMBERS + index`, sorted. */
  readonly #points: Float64Array

  constructor(members: readonly M[]) {
    this.#members = members.slice(0, MAX_MEMBERS)
    const { length } = this.#members
    const each = length === 0 ? 0 : Math.max(1, Math.min(POINTS_PER_MEMBER, Math.floor(MAX_POINTS / length)))
    const points = new Float64Array(each * length)
    this.#members.forEach(({ key }, index) => {
      const hash = hashText(key)
      for (let i = 0; i < each; i++) {
        points[index * each + i] = mix(hash ^ Math.imul(i + 1, 0x9e3779b9)) * MAX_MEMBERS + index
      }
    })
    this.#points = points.sort()
  }

  /** How many points there are. */
  get size(): number {
    return this.#points.length
  }

  /** The member of a key by its hash; `inFlight` are the requests of all members. Undefined: there is none but `except`. */
  pick(hash: number, inFlight: number, nowMs: number, except?: M): M | undefined {
    const members = this.#members
    const points = this.#points
    if (points.length === 0) return undefined
    const most = Math.ceil((MAX_LOAD * (inFlight + 1)) / members.length)
    const first = this.#after(hash)
    const walk = Math.min(points.length, MAX_WALK)
    for (let i = 0; i < walk; i++) {
      const member = members[points[(first + i) % points.length]! % MAX_MEMBERS]!
      if (member !== except && member.outstanding < most && member.isAvailable(nowMs)) return member
    }
    return this.#anyFrom(points[first]! % MAX_MEMBERS, nowMs, except)
  }

  /** The index of the first point at or behind a hash. */
  #after(hash: number): number {
    const points = this.#points
    const wanted = hash * MAX_MEMBERS
    let low = 0
    let high = points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (points[middle]! < wanted) low = middle + 1
      else high = middle
    }
    return low === points.length ? 0 : low
  }

  /** Better one that has much to do than none, and one that is put aside than none at all. */
  #anyFrom(index: number, nowMs: number, except: M | undefined): M | undefined {
    const members = this.#members
    let aside: M | undefined
    for (let i = 0; i < members.length; i++) {
      const member = members[(index + i) % members.length]!
      if (member === except) continue
      if (member.isAvailable(nowMs)) return member
      aside ??= member
    }
    return aside
  }
}

/** 32 bits, unsigned: FNV-1a over the UTF-16 units, mixed. Everybody who speaks of one key says the same number. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

/** The finalizer of MurmurHash3: each bit of the input reaches each of the output. */
function mix(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
