/** Cuts a stream of bytes into lines. */
export interface LineCutter {
  /** The lines that this chunk completes, without their ends and without empty ones. Throws a `RangeError` for a line that is too long. */
  cut(chunk: Buffer): readonly string[]
  /** What came after the last line end. */
  rest(): string
}

const LINE_FEED = 0x0a

/** Lines end in LF or CR LF. Bytes are decoded line by line, so that no character is torn by where a chunk ends. */
export function createLineCutter(maxBytes: number): LineCutter {
  let parts: Buffer[] = []
  let held = 0
  const take = (last: Buffer): string => {
    const text = parts.length === 0 ? last.toString('utf8') : Buffer.concat([...parts, last]).toString('utf8')
    parts = []
    held = 0
    return text.endsWith('\r') ? text.slice(0, -1) : text
  }
  const within = (bytes: number) => {
    if (bytes > maxBytes) throw new RangeError(`a line is longer than ${maxBytes} bytes`)
  }
  return {
    cut(chunk) {
      const lines: string[] = []
      let start = 0
      for (;;) {
        const end = chunk.indexOf(LINE_FEED, start)
        if (end === -1) break
        within(held + end - start)
        const line = take(chunk.subarray(start, end))
        if (line !== '') lines.push(line)
        start = end + 1
      }
      within(held + chunk.length - start)
      if (start < chunk.length) {
        parts.push(chunk.subarray(start))
        held += chunk.length - start
      }
      return lines
    },
    rest: () => take(Buffer.alloc(0)),
  }
}
