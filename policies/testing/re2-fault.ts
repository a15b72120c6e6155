/** Counted repeats, within each other, of one part of a pattern at most: RE2's bound, which the API server's patterns have. */
const MAX_REPEATS = 1_000

/**
 * Why RE2 would not take a pattern that JavaScript takes; undefined where nothing is known against it. Knows what patterns of
 * schemas run into: repeats that multiply, lookarounds and references to groups.
 */
export function re2Fault(pattern: string): string | undefined {
  if (/\(\?(?:<?[=!])/.test(pattern)) return 'looks around'
  if (/\\[1-9]|\\k</.test(pattern)) return 'refers to a group'
  /** The most repeats of a part of each group that is open, and of the part that was read last. */
  const groups: number[] = [1]
  let last = 1
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]
    if (char === '\\') at += 1
    else if (char === '[') at = endOfClass(pattern, at)
    if (char === '(') {
      groups.push(1)
      continue
    }
    if (char === ')') last = groups.pop() ?? 1
    else if (char === '{') {
      const [counted, least = '', most = ''] = /^\{(\d+)(?:,(\d*))?\}/.exec(pattern.slice(at)) ?? []
      if (counted !== undefined) {
        last *= Math.max(1, Number(most || least))
        at += counted.length - 1
      }
    } else last = 1
    if (last > MAX_REPEATS) return `repeats a part ${last} times`
    groups.push(Math.max(groups.pop() ?? 1, last))
  }
  return undefined
}

function endOfClass(pattern: string, start: number): number {
  let at = start + 1
  if (pattern[at] === '^') at += 1
  for (; at < pattern.length && pattern[at] !== ']'; at++) if (pattern[at] === '\\') at += 1
  return at
}
