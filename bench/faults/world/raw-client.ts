import { connect, type Socket } from 'node:net'

/** What came back on a connection until it ended, or nothing came for as long as was waited. */
export interface Heard {
  readonly text: string
  /** It was ended properly, reset, or is still open. */
  readonly end: 'closed' | 'reset' | 'open'
}

/** Sends octets on a connection of its own and listens until it ends, at most `forMs`. */
export function sayTo(port: number, text: string, forMs = 5_000): Promise<Heard> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let heard = ''
    const done = (end: Heard['end']) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ text: heard, end })
    }
    const timer = setTimeout(done, forMs, 'open')
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
    })
    socket.on('end', () => done('closed'))
    socket.on('error', () => done('reset'))
    socket.write(text, 'latin1')
  })
}

/** A response as far as it came. */
export interface Part {
  readonly status: number
  readonly body: string
  /** Its framing says that this is all of it. */
  readonly isWhole: boolean
}

/** The responses in what was heard, 1xx left out. A body that ends by closing is whole if the connection was closed properly. */
export function responsesIn({ text, end }: Heard): readonly Part[] {
  const parts: Part[] = []
  let at = 0
  while (at < text.length) {
    const headEnd = text.indexOf('\r\n\r\n', at)
    if (headEnd === -1) return parts
    const head = text.slice(at, headEnd).toLowerCase()
    const status = Number(/^http\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0)
    at = headEnd + 4
    if (status < 200 && status !== 0) continue
    const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1]
    if (length !== undefined) {
      const body = text.slice(at, at + Number(length))
      parts.push({ status, body, isWhole: body.length === Number(length) })
      at += body.length
    } else if (head.includes('\r\ntransfer-encoding: chunked')) {
      let body = ''
      let isWhole = false
      for (;;) {
        const lineEnd = text.indexOf('\r\n', at)
        if (lineEnd === -1) break
        const size = Number.parseInt(text.slice(at, lineEnd), 16)
        body += text.slice(lineEnd + 2, lineEnd + 2 + size)
        at = lineEnd + 2 + size + 2
        if (at > text.length) break
        isWhole = size === 0
        if (isWhole) break
      }
      parts.push({ status, body, isWhole })
      if (!isWhole) return parts
    } else {
      parts.push({ status, body: text.slice(at), isWhole: end === 'closed' })
      return parts
    }
  }
  return parts
}
