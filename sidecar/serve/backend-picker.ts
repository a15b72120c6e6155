import type { Backend } from '../../contract/workload-config.ts'

/**
 * Says where the next request or connection goes: the name of an upstream, or nothing where its share goes nowhere. Smooth
 * weighted round robin: of weights 3 and 1, every fourth goes to the second.
 */
export function backendPicker(backends: readonly Backend[]): () => string {
  const weighted = backends.filter(({ weight }) => weight > 0)
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0)
  if (weighted.length === 0) return () => ''
  const only = weighted.length === 1 ? weighted[0] : undefined
  if (only !== undefined) return () => only.upstream
  const current = weighted.map(() => 0)
  return () => {
    let best = 0
    for (let i = 0; i < weighted.length; i++) {
      current[i]! += weighted[i]!.weight
      if (current[i]! > current[best]!) best = i
    }
    current[best]! -= total
    return weighted[best]!.upstream
  }
}
