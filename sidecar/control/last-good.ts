import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextPass } from 'node:timers/promises'
import type * as v from 'valibot'
import { decode } from '../../contract/codec.ts'
import { EndpointsDocument } from '../../contract/endpoints.ts'
import { KeysDocument } from '../../contract/keys.ts'
import { type DocumentKind, MAX_MESSAGE_BYTES } from '../../contract/session.ts'
import { WorkloadConfig } from '../../contract/workload-config.ts'
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
}

const SCHEMAS: Readonly<Record<DocumentKind, v.GenericSchema>> = {
  config: WorkloadConfig,
  endpoints: EndpointsDocument,
  keys: KeysDocument,
}

/** Files `config.json`, `endpoints.json` and `keys.json` in `directory` (0700), each 0600 and replaced whole. */
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

  const read = async <Kind extends DocumentKind>(kind: Kind): Promise<Partial<Pick<Documents, Kind>>> => {
    let text: string
    try {
      text = (await readFileCapped(join(directory, `${kind}.json`), MAX_MESSAGE_BYTES)).toString('utf8')
    } catch (err) {
      if (!(err instanceof FileError && err.code === 'missing')) {
        log.warn('the last good document could not be read', { 'hauberk.document': kind, err })
      }
      return {}
    }
    const decoded = decode(SCHEMAS[kind], text)
    if (decoded.ok) return { [kind]: decoded.value } as Partial<Pick<Documents, Kind>>
    log.warn('the last good document is not usable', { 'hauberk.document': kind, issues: decoded.issues })
    return {}
  }

  return {
    async load() {
      const [config, endpoints, keys] = await Promise.all([read('config'), read('endpoints'), read('keys')])
      return { ...config, ...endpoints, ...keys }
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
