import { pemsOf, type TrustBundle } from '../../model/x509/bundle.ts'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'

/** Writes the roots where sidecars, and people with `curl --cacert`, find them. Public: 0644. */
export function writeTrustAnchors(path: string, bundle: TrustBundle): Promise<void> {
  return writeFileAtomic(path, pemsOf(bundle).join(''), 0o644)
}
