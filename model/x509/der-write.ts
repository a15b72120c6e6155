/** One DER value (ITU-T X.690, section 10) of this identifier octet around these contents, put one after another. */
export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, part) => sum + part.length, 0)
  const header = length < 0x80 ? [tag, length] : [tag, ...longLength(length)]
  const encoded = new Uint8Array(header.length + length)
  encoded.set(header)
  let at = header.length
  for (const part of contents) {
    encoded.set(part, at)
    at += part.length
  }
  return encoded
}

function longLength(length: number): readonly number[] {
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.trunc(rest / 256)) octets.unshift(rest % 256)
  return [0x80 | octets.length, ...octets]
}
