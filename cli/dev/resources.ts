import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import { resourceKey } from '../../model/resource.ts'
import type { Issue } from '../../model/result.ts'
import { judgeKeyPair } from '../../operator/gateways/judge-key-pair.ts'
import { KINDS } from '../../operator/resources/kinds.ts'
import { createFilesSource } from '../../operator/sources/files.ts'
import { type Snapshot, snapshotOf } from '../../operator/store/snapshot.ts'
import { createStore } from '../../operator/store/store.ts'
import { type Translation, translate } from '../../operator/translate/translate.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { silentLog } from '../../runtime/log.ts'
import { withGenerated } from '../generated-secrets.ts'

/** The resources of the mesh's files, as the operator will read them, kept on their newest state. */
export interface Resources {
  snapshot(): Snapshot
  /** How many there are. */
  count(): number
  /** What is wrong with the files as they are now. */
  issues(): readonly Issue[]
  locate(resource: string, path: string): Issue['location']
  /** The directory of the file that a resource stands in. */
  directoryOf(kind: string, namespace: string | undefined, name: string): string
  /** Calls `listener` after each change. */
  onChange(listener: () => void): void
  close(): Promise<void>
}

/** Reads the files, and watches them. Rejects for a path that names nothing. */
export async function openResources(files: readonly string[]): Promise<Resources> {
  const source = createFilesSource(files, SECTIONS, silentLog)
  const store = createStore()
  const closing = new AbortController()
  const reading = source.run(store, closing.signal)
  const synced = new Promise<void>((resolve) => {
    const stop = store.onChange(() => {
      if (!store.isSynced()) return
      stop()
      resolve()
    })
  })
  await Promise.race([synced, reading])
  const locate = (resource: string, path: string) => source.locate(resource, path)
  return {
    snapshot: () => store.snapshot(),
    count: () => KINDS.reduce((sum, { kind }) => sum + store.snapshot().ofKind(kind).length, 0),
    issues: () => source.issues(),
    locate,
    directoryOf: (kind, namespace, name) => dirname(locate(resourceKey(kind, namespace, name), '')?.file ?? '.'),
    onChange: (listener) => void store.onChange(listener),
    async close() {
      closing.abort()
      await reading
    },
  }
}

/** What the operator will make of a snapshot, but for the roots of its CA. */
export function translated(snapshot: Snapshot, previous?: Translation): Translation {
  return translate(withValues(snapshot), { sha256, mesh: { roots: [] }, judgeKeyPair }, previous)
}

/** Whoever makes plans needs no values, only to know that there will be some. */
function withValues(snapshot: Snapshot): Snapshot {
  if (!snapshot.ofKind('Secret').some((secret) => withGenerated(secret) !== secret)) return snapshot
  return snapshotOf(KINDS.flatMap(({ kind }) => snapshot.ofKind(kind)).map(withGenerated))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
