/** What a client is told by a server that does not let it in (PostgreSQL, 54.8). */
export interface ServerError {
  /** Five characters (PostgreSQL, appendix A). */
  readonly sqlState: string
  readonly message: string
  readonly hint?: string
}

/** Characters of a message at most. */
const MAX_CHARACTERS = 500

/** An ErrorResponse that ends the session. */
export function writeErrorResponse({ sqlState, message, hint }: ServerError): Buffer {
  const fields = [
    ['S', 'FATAL'],
    ['V', 'FATAL'],
    ['C', sqlState],
    ['M', message],
    ...(hint === undefined ? [] : [['H', hint]]),
  ]
  const text = fields.map(([type = '', value = '']) => `${type}${printable(value)}\0`).join('')
  const body = Buffer.from(`${text}\0`, 'utf8')
  const head = Buffer.alloc(5)
  head.write('E', 'latin1')
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

/** It may hold a name that a client has chosen: nothing of it may end a field, or move a cursor. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?').slice(0, MAX_CHARACTERS)
}
