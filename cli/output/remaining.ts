/** How long until a moment, in its two largest units: `23h59m`, `4m10s`, `29s`; `expired 3m10s ago` when it is past. */
export function formatRemaining(untilMs: number, nowMs: number): string {
  const leftMs = untilMs - nowMs
  return leftMs >= 0 ? spanOf(leftMs) : `expired ${spanOf(-leftMs)} ago`
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

function spanOf(ms: number): string {
  const first = UNITS.findIndex(([, size]) => ms >= size)
  if (first === -1) return '0s'
  let left = ms
  const parts = UNITS.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(left / size)
    left -= count * size
    return count === 0 && unit !== UNITS[first]?.[0] ? '' : `${count}${unit}`
  })
  return parts.join('')
}
