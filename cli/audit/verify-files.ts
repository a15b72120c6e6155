import { createReadStream } from 'node:fs'
import { createVerifier, type Line, type Verification, type VerifierOptions } from '../../operator/audit/verify.ts'
import { CommandError, EXIT } from '../exit-code.ts'

/** Bytes of a line. A record is far smaller; a line that is longer is cut there, and is no record. */
const MAX_LINE_BYTES = 1_048_576

const NEWLINE = 0x0a

/** Looks at the lines of files one after the other; `-` is what is piped in. A file that cannot be read ends the command. */
export async function verifyFiles(files: readonly string[], options: VerifierOptions): Promise<Verification> {
  const verifier = createVerifier(options)
  for (const file of files) {
    const stream = file === '-' ? process.stdin : createReadStream(file)
    try {
      for await (const line of linesOf(file === '-' ? 'what was piped in' : file, stream)) verifier.add(line)
    } catch (cause) {
      throw new CommandError(EXIT.failure, `${file} cannot be read: ${(cause as Error).message}`, { cause })
    }
  }
  return verifier.result()
}

/** Bytes as they are: what is not UTF-8 was written by nobody of ours. */
async function* linesOf(file: string, stream: AsyncIterable<Buffer | string>): AsyncGenerator<Line> {
  let line = 0
  let rest: Buffer[] = []
  let restBytes = 0
  const take = (isWhole: boolean): Line => {
    line += 1
    const bytes = Buffer.concat(rest)
    rest = []
    restBytes = 0
    return { file, line, bytes, isWhole }
  }
  const keep = (bytes: Buffer) => {
    const kept = bytes.subarray(0, Math.max(0, MAX_LINE_BYTES - restBytes))
    restBytes += kept.length
    if (kept.length > 0) rest.push(kept)
  }
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    let from = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      keep(bytes.subarray(from, end))
      yield take(true)
      from = end + 1
    }
    keep(bytes.subarray(from))
  }
  if (restBytes > 0) yield take(false)
}
