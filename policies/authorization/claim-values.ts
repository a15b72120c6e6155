/**
 * What a claim says, as strings to compare: a string is itself, a list is its members, `true` and whole numbers are as
 * JSON writes them. Objects and fractions have no one spelling and say nothing.
 */
export function claimValues(claim: string, value: unknown): readonly string[] {
  if (claim === '/scope' && typeof value === 'string') return scopeTokens(value)
  if (Array.isArray(value)) return value.flatMap(scalar)
  return scalar(value)
}

/** The members of an OAuth scope (RFC 6749, 3.3). */
export function scopeTokens(scope: string): readonly string[] {
  return scope.split(' ').filter((token) => token !== '')
}

function scalar(value: unknown): readonly string[] {
  switch (typeof value) {
    case 'string':
      return [value]
    case 'boolean':
      return [String(value)]
    case 'number':
      return Number.isSafeInteger(value) ? [String(value)] : []
    default:
      return []
  }
}
