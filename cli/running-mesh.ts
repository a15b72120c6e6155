import { FileError, readFileCapped } from '../runtime/atomic-file.ts'
import { type AdminAddress, type MeshFile, readMeshFile } from './dev/mesh-file.ts'
import { CommandError, EXIT } from './exit-code.ts'

/** Where a local mesh keeps its state, unless it is told otherwise. */
export const DEFAULT_STATE = '.hauberk'

/** The mesh that runs with this state directory. Ends the command where none does. */
export async function findRunningMesh(state: string): Promise<MeshFile> {
  const mesh = await readMeshFile(state)
  if (mesh !== undefined) return mesh
  throw new CommandError(EXIT.failure, `no mesh runs in ${state}: start one with hauberk dev, or name its --state`)
}

/** What an admin server answered: parsed JSON, or the status it refused with. */
export type AdminAnswer =
  | { readonly ok: true; readonly body: unknown }
  | { readonly ok: false; readonly status: number }

/** Asks an admin port. Throws a CommandError that names `who` when it does not answer. */
export async function askAdmin(who: string, { url, tokenFile }: AdminAddress, path: string): Promise<AdminAnswer> {
  try {
    const token = (await readFileCapped(tokenFile, MAX_TOKEN_BYTES)).toString('utf8').trim()
    const response = await fetch(`${url}${path}`, {
      headers: { authorization: `Bearer ${token}` },
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    })
    if (response.ok) return { ok: true, body: await response.json() }
    await response.body?.cancel()
    return { ok: false, status: response.status }
  } catch (cause) {
    const why = cause instanceof FileError ? cause.message : `it does not answer at ${url}`
    throw new CommandError(EXIT.failure, `${who} cannot be asked: ${why}`, { cause })
  }
}

const MAX_TOKEN_BYTES = 4_096
const ANSWER_MS = 5_000
