import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describeIssue } from '../../../model/result.ts'
import { FileError, readFileCapped, writeFileAtomic } from '../../../runtime/atomic-file.ts'
import { decodeState, encodeState, type RotationState } from './state.ts'

/** Where a rotation is kept over restarts, and shared by operators. */
export interface RotationStore {
  /** Undefined: nothing was ever kept. Rejects with a {@link RotationStoreError} for what cannot be read. */
  read(): Promise<KeptRotation | undefined>
  /**
   * Keeps `state` if what is there is still of this `version` (undefined: nothing). False: somebody else was faster;
   * read again.
   */
  write(state: RotationState, version: string | undefined): Promise<boolean>
}

export interface KeptRotation {
  readonly state: RotationState
  /** Opaque: of what was read, for writing over it. */
  readonly version: string
}

/** What is kept cannot be read. Which roots to trust is then for a person to say, not to be guessed. */
export class RotationStoreError extends Error {
  override readonly name = 'RotationStoreError'
  readonly code = 'malformed'
}

const MAX_BYTES = 65_536
const FILE = 'rotation.json'

/** A file (0600) in the directory of the CA's keys, for one operator that is alone. */
export function createFileRotationStore(directory: string): RotationStore {
  const path = join(directory, FILE)
  return {
    async read() {
      try {
        const text = (await readFileCapped(path, MAX_BYTES)).toString('utf8')
        return { state: stateIn(text, path), version: text }
      } catch (cause) {
        if (cause instanceof FileError && cause.code === 'missing') return undefined
        throw cause
      }
    },
    async write(state, version) {
      if ((await this.read())?.version !== version) return false
      await mkdir(directory, { recursive: true, mode: 0o700 })
      await writeFileAtomic(path, encodeState(state), 0o600)
      return true
    },
  }
}

/** @throws RotationStoreError */
export function stateIn(text: string, where: string): RotationState {
  const state = decodeState(text)
  if (state.ok) return state.value
  throw new RotationStoreError(`${where} ${state.issues.map(describeIssue).join('; ')}`)
}
