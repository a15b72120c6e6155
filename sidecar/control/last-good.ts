import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextPass } from 'node:timers/promises'
import type * as v from 'valibot'
import { decode } from '../../contract/codec.ts'
import { EndpointsDocument } from '../../contract/endpoints.ts'
import { KeysDocument } from '../../contract/keys.ts'
import { RevocationsDocument } from '../../contract/revocations.ts'
import { type DocumentKind, MAX_MESSAGE_BYTES } from '../../contract/session.ts'
import { CONTRACT_VERSION, WorkloadConfig } from '../../contract/workload-config.ts'
import { FileError, readFileCapped, writeFileAtomic } from '../../runtime/atomic-file.ts'
import type { Log } from '../../runtime/log.ts'
import { textInTurns } from './text-in-turns.ts'

/** The newest documents that this sidecar could use, on disk: what it serves by when it starts and no operator answers. */
export interface LastGood {
  load(): Promise<Documents>
  /** Writes in the background, newest wins; a failure is logged and never stops the data plane (F11). */
  save(kind: DocumentKind, document: Documents[DocumentKind]): void
  /** Resolves when what was saved so far is on disk, or failed. */
  settled(): Promise<void>
}

export interface Documents {
  readonly config?: WorkloadConfig
  readonly endpoints?: EndpointsDocument
  readonly keys?: KeysDocument
  readonly revocations?: RevocationsDocument
}

const SCHEMAS: Readonly<Record<DocumentKind, v.GenericSchema>> = {
  config: WorkloadConfig,
  endpoints: EndpointsDocument,
  keys: KeysDocument,
  revocations: RevocationsDocument,
}

/** What counts where there were revocations and nobody can read which: no token is taken before an operator has told. */
const UNREADABLE_REVOCATIONS: RevocationsDocument = {
  contract: CONTRACT_VERSION,
  version: 'unreadable',
  tooMany: true,
  revocations: [],
}

/** Files `config.json`, `endpoints.json`, `keys.json` and `revocations.json` in `directory` (0700), each 0600 and replaced whole. */
export function openLastGood(directory: string, log: Log): LastGood {
  const pending = new Map<DocumentKind, unknown>()
  let writing: Promise<void> | undefined

  const writeAll = async () => {
    for (let next = pending.entries().next(); !next.done; next = pending.entries().next()) {
      const [kind, document] = next.value
      pending.delete(kind)
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 })
        await writeFileAtomic(join(directory, `${kind}.json`), await textOf(document))
      } catch (err) {
        log.warn('the last good document could not be kept', { 'hauberk.document': kind, err })
      }
    }
    writing = undefined
  }

  const unreadable = <Kind extends DocumentKind>(kind: Kind): Partial<Pick<Documents, Kind>> =>
    (kind === 'revocations' ? { revocations: UNREADABLE_REVOCATIONS } : {}) as Partial<Pick<Documents, Kind>>

  const read = async <Kind extends DocumentKind>(kind: Kind): Promise<Partial<Pick<Documents, Kind>>> => {
    let text: string
    try {
      text = (await readFileCapped(join(directory, `${kind}.json`), MAX_MESSAGE_BYTES)).toString('utf8')
    } catch (err) {
      if (err instanceof FileError && err.code === 'missing') return {}
      log.warn('the last good document could not be read', { 'hauberk.document': kind, err })
      return unreadable(kind)
    }
    const decoded = decode(SCHEMAS[kind], text)
    if (decoded.ok) return { [kind]: decoded.value } as Partial<Pick<Documents, Kind>>
    log.warn('the last good document is not usable', { 'hauberk.document': kind, issues: decoded.issues })
    return unreadable(kind)
  }

  return {
    async load() {
      const [config, endpoints, keys, revocations] = await Promise.all([
        read('config'),
        read('endpoints'),
        read('keys'),
        read('revocations'),
      ])
      return { ...config, ...endpoints, ...keys, ...revocations }
    },
    save(kind, document) {
      pending.set(kind, document)
      writing ??= writeAll()
    },
    async settled() {
      while (writing !== undefined) await writing
    },
  }
}

/** Requests are served between two turns. */
async function textOf(document: unknown): Promise<string> {
  const turns = textInTurns(document)
  for (;;) {
    const turn = turns.next()
    if (turn.done === true) return turn.value
    await nextPass()
  }
}
