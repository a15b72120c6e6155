import { pemsOf, type TrustBundle } from '../../model/x509/bundle.ts'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'

/** The roots as sidecars, and people with `curl --cacert`, read them: `ca.crt`. The one that signs first. */
export function trustAnchorsOf(bundle: TrustBundle): string {
  return pemsOf(bundle).join('')
}

/** Writes them into a file. Public: 0644. */
export function writeTrustAnchors(path: string, bundle: TrustBundle): Promise<void> {
  return writeFileAtomic(path, trustAnchorsOf(bundle), 0o644)
}
