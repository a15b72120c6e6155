import { createVerifier, type Line, type Verification, type VerifierOptions } from '../verify.ts'

/** What is found in the text of files, in their order. */
export function verifyText(
  texts: string | Buffer | readonly (string | Buffer)[],
  options?: VerifierOptions,
): Verification {
  const verifier = createVerifier(options)
  const files = Array.isArray(texts) ? texts : [texts]
  for (const [i, text] of files.entries()) {
    for (const line of linesIn(`audit.log.${files.length - i}`, Buffer.from(text))) verifier.add(line)
  }
  return verifier.result()
}

const NEWLINE = 0x0a

function* linesIn(file: string, bytes: Buffer): Generator<Line> {
  let line = 0
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, from)
    const until = end === -1 ? bytes.length : end
    line += 1
    yield { file, line, bytes: bytes.subarray(from, until), isWhole: end !== -1 }
    from = until + 1
  }
}
