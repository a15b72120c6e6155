import { describeIssue } from '../../model/result.ts'
import { parseTrustBundle, pemsOf } from '../../model/x509/bundle.ts'
import { readFileCapped } from '../../runtime/atomic-file.ts'
import { type Identity, readTrustBundle } from './identity.ts'

const MAX_TRUST_ANCHORS_BYTES = 262_144

/** The roots in `ca.crt`, PEM. Rejects when there is no such file, or none of it can be used. */
export async function readTrustAnchors(path: string): Promise<readonly string[]> {
  const text = (await readFileCapped(path, MAX_TRUST_ANCHORS_BYTES)).toString('utf8')
  const bundle = parseTrustBundle(text)
  if (bundle.ok) return pemsOf(bundle.value)
  throw new Error(`${path} ${bundle.issues.map(describeIssue).join('; ')}`)
}

/**
 * The roots by which the operator is known: those it pushed, and those in `ca.crt`. A sidecar that was away while the root
 * was replaced finds its way back by the second. Nobody but the operator is believed by them.
 */
export function operatorRoots(
  { trustBundle, distrustedRoots }: Pick<Identity, 'trustBundle' | 'distrustedRoots'>,
  anchors: readonly string[],
): readonly string[] {
  const both = readTrustBundle([...trustBundle, ...anchors], distrustedRoots)
  return both.ok ? pemsOf(both.value) : trustBundle
}
