/**
 * Whether two values say the same: JSON values, and Maps of them (whose order does not count). What both share by
 * reference is not looked into, so that comparing two values that share most of themselves is cheap.
 */
export function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let i = 0; i < a.length; i++) if (!isSame(a[i], b[i])) return false
    return true
  }
  if (a instanceof Map) {
    if (!(b instanceof Map) || a.size !== b.size) return false
    for (const [key, value] of a) if (!b.has(key) || !isSame(value, b.get(key))) return false
    return true
  }
  if (Array.isArray(b) || b instanceof Map) return false
  const names = Object.keys(a)
  if (names.length !== Object.keys(b).length) return false
  for (const name of names) {
    if (!Object.hasOwn(b, name)) return false
    if (!isSame((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name])) return false
  }
  return true
}

/** `earlier` where it says the same as `now`: what follows from it then need not be made again. */
export function keepSame<T>(earlier: T | undefined, now: T): T {
  return earlier !== undefined && isSame(earlier, now) ? earlier : now
}
