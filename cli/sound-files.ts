import { compareFindings, findingOf } from './check/finding.ts'
import { counted, formatFindings } from './check/findings-text.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { type FileMesh, readFileMesh } from './file-mesh.ts'
import { type Output, painterOf } from './paint.ts'

/** Reads files that have no mistakes of their own. Ends the command with what they are otherwise: half of them say who knows what. */
export async function readSoundFiles(paths: readonly string[], errors: Output): Promise<FileMesh> {
  const mesh = await readFileMesh(paths)
  const wrong = mesh.issues
    .filter(({ severity }) => severity === 'error')
    .map(findingOf)
    .toSorted(compareFindings)
  if (wrong.length === 0) return mesh
  errors.write(`${formatFindings(wrong, painterOf(errors))}\n`)
  throw new CommandError(EXIT.findings, `${counted(wrong.length, 'error')} in the files: nothing follows from them`)
}
