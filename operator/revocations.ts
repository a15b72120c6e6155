import { versionOf } from '../contract/codec.ts'
import { MAX_REVOCATIONS, type Revocation, type RevocationsDocument } from '../contract/revocations.ts'
import { CONTRACT_VERSION } from '../contract/workload-config.ts'

/** Bytes of all revocations at most: more would not fit into one message beside what a message has around it. */
export const MAX_REVOCATIONS_BYTES = 8 * 1024 * 1024

/** What sidecars are told of TokenRevocations now. */
export interface CurrentRevocations {
  readonly document: RevocationsDocument
  /** Names of those that are not over. */
  readonly active: ReadonlySet<string>
}

/**
 * Leaves out what is over: then every token that it concerns has expired. The document is the same object for as long as it
 * says the same.
 */
export function createCurrentRevocations(
  now: () => number,
  sha256: (text: string) => string,
): (revocations: readonly Revocation[]) => CurrentRevocations {
  let known:
    | { readonly of: readonly Revocation[]; readonly untilMs: number; readonly is: CurrentRevocations }
    | undefined
  return (revocations) => {
    const nowMs = now()
    if (known !== undefined && known.of === revocations && nowMs < known.untilMs) return known.is
    const active = revocations.filter(({ untilMs }) => untilMs === undefined || nowMs < untilMs)
    const untilMs = Math.min(...active.map((each) => each.untilMs ?? Number.POSITIVE_INFINITY))
    const isTooMany =
      active.length > MAX_REVOCATIONS || Buffer.byteLength(JSON.stringify(active)) > MAX_REVOCATIONS_BYTES
    const content: Omit<RevocationsDocument, 'version'> = {
      contract: CONTRACT_VERSION,
      ...(isTooMany && { tooMany: true as const }),
      revocations: isTooMany ? [] : active.map((revocation) => ({ ...revocation })),
    }
    const version = versionOf(content, sha256)
    const before = known?.is.document
    const document = before?.version === version ? before : { ...content, version }
    const is = { document, active: new Set(active.map(({ name }) => name)) }
    known = { of: revocations, untilMs, is }
    return is
  }
}
