import { decode } from '../../contract/codec.ts'
import { OperatorMessage } from '../../contract/session.ts'
import type { Result } from '../../model/result.ts'

/** Texts remembered at once. The oldest is forgotten first. */
export const MAX_TEXTS = 512

/**
 * Decodes each text once for all sidecars of a process: pods of one workload are sent the same. Every sidecar of a cluster
 * has a CPU of its own to decode with; here they share one, and would wait for each other.
 */
export function createSharedDecode(): (text: string) => Result<OperatorMessage> {
  const known = new Map<string, Result<OperatorMessage>>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const decoded = decode(OperatorMessage, text)
    known.set(text, decoded)
    if (known.size > MAX_TEXTS) known.delete(known.keys().next().value!)
    return decoded
  }
}
