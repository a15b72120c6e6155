import { parse } from 'yaml'
import { FileError, readFileCapped } from '../../runtime/atomic-file.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import type { Claims } from './asked.ts'

/** Bytes of a file of claims at most. */
const MAX_CLAIMS_BYTES = 65_536

/** Reads the claims of a token, as JSON or YAML. Ends the command when that is no object. */
export async function readClaims(path: string): Promise<Claims> {
  let text: string
  try {
    text = (await readFileCapped(path, MAX_CLAIMS_BYTES)).toString('utf8')
  } catch (cause) {
    if (cause instanceof FileError) throw new CommandError(EXIT.failure, cause.message, { cause })
    throw cause
  }
  let claims: unknown
  try {
    claims = parse(text)
  } catch (cause) {
    const [line = ''] = (cause as Error).message.split('\n')
    throw new CommandError(EXIT.failure, `${path}: ${line}`, { cause })
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new CommandError(
      EXIT.failure,
      `${path}: claims are an object, such as {"sub": "ann", "scope": "orders:read"}`,
    )
  }
  return claims as Claims
}
