/** What a Postgres client says first: `SSLRequest` (protocol 3, 54.2.11). A server answers it with one byte. */
export const SSL_REQUEST = '\x00\x00\x00\x08\x04\xd2\x16\x2f'

/** A client that goes. */
export const TERMINATE = 'X\x00\x00\x00\x04'

/** A `StartupMessage` of protocol 3.0: names and values, each with a zero at its end, and one more. */
export function startup(user: string, database: string, applicationName = 'e2e'): string {
  const pairs = Object.entries({ user, database, application_name: applicationName })
  const text = pairs.map(([name, value]) => `${name}\0${value}\0`).join('')
  return withLength(`\x00\x03\x00\x00${text}\0`)
}

/** A simple query. */
export function query(text: string): string {
  return `Q${withLength(`${text}\0`)}`
}

/** `AuthenticationOk` as the first that a server says: nobody was asked for a password. */
export const LET_IN = 'R\x00\x00\x00\x08\x00\x00\x00\x00'

/** The first column of the first row among what was heard. Undefined: there is none. */
export function firstValueIn(heard: string): string | undefined {
  let at = 0
  while (at + 5 <= heard.length) {
    const length = lengthAt(heard, at + 1)
    // DataRow: the number of columns, and each with its length.
    if (heard[at] === 'D') return heard.slice(at + 11, at + 11 + lengthAt(heard, at + 7))
    at += 1 + length
  }
  return undefined
}

function withLength(text: string): string {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length + 4)
  return length.toString('latin1') + text
}

function lengthAt(text: string, at: number): number {
  const bytes = Buffer.from(text.slice(at, at + 4), 'latin1')
  return bytes.length < 4 ? text.length : bytes.readUInt32BE(0)
}
