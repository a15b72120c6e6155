import type { Issue } from '../model/result.ts'
import { judgeKeyPair } from '../operator/gateways/judge-key-pair.ts'
import { loadFiles } from '../operator/sources/files.ts'
import { keyOf, type LocatedResource } from '../operator/sources/resource-file.ts'
import { type Snapshot, snapshotOf } from '../operator/store/snapshot.ts'
import { type Translation, translate } from '../operator/translate/translate.ts'
import { SECTIONS } from '../policies/sections.ts'
import { openssl } from '../runtime/crypto/openssl.ts'
import type { CompileDeps } from '../sidecar/compile/compile.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { withGenerated } from './generated-secrets.ts'

/** The mesh that some files describe, as an operator that reads them would see it. */
export interface FileMesh {
  readonly files: readonly string[]
  /** What is valid; a resource that is not is in no snapshot. */
  readonly resources: readonly LocatedResource[]
  readonly snapshot: Snapshot
  readonly translation: Translation
  /** What is wrong with the files themselves, each with its place. */
  readonly issues: readonly Issue[]
  /** Where the value at a path of a resource (`Kind/namespace/name`) stands. */
  locate(resource: string, path: string): Issue['location']
}

/** Reads files, directories and globs, and translates what they say. A path that names nothing ends the command. */
export async function readFileMesh(paths: readonly string[]): Promise<FileMesh> {
  const loaded = await loadFiles(paths, SECTIONS).catch((cause: unknown) => {
    if (cause instanceof Error && cause.name === 'NoSuchPathError') {
      throw new CommandError(EXIT.failure, cause.message, { cause })
    }
    throw cause
  })
  if (loaded.files.length === 0) {
    const where = paths.join(', ')
    throw new CommandError(
      EXIT.failure,
      `${where}: no .yaml, .yml or .json file there (directories below are not read)`,
    )
  }
  const byKey = new Map(loaded.resources.map((located) => [keyOf(located.resource), located]))
  const snapshot = snapshotOf(loaded.resources.map(({ resource }) => withGenerated(resource)))
  return {
    files: loaded.files,
    resources: loaded.resources,
    snapshot,
    translation: translate(snapshot, { sha256: openssl.sha256, mesh: { roots: [] }, judgeKeyPair }),
    issues: loaded.issues,
    locate: (resource, path) => byKey.get(resource)?.locate(path),
  }
}

/** What filters are handed where nothing is served: no keys, so no token is ever verified. */
export const OFFLINE: CompileDeps = {
  clock: { now: () => Date.now(), monotonic: () => performance.now() },
  crypto: openssl,
  keys: { generation: 0, keysOf: () => undefined, refresh: () => Promise.resolve() },
  count() {},
}
