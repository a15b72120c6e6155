/** Media types are compared without case, and without `application/` where that is all there is (RFC 7515, 4.1.9). */
export function normaliseType(typ: string): string {
  const lower = typ.toLowerCase()
  return lower.startsWith('application/') && !lower.includes('/', 'application/'.length) ? lower.slice(12) : lower
}
