import type { PostgresLogin } from '../../model/request.ts'
import type { Startup } from './opening-reader.ts'

/** The startup message of a session that is this user in this database, with all else that the client said. It never asks for replication. */
export function writeStartup({ version, parameters }: Startup, { user, database }: PostgresLogin): Buffer {
  const parts: Buffer[] = [Buffer.alloc(8), pair('user', user), pair('database', database)]
  for (const [name, value] of parameters) parts.push(Buffer.from(`${name}\0`, 'latin1'), value, ZERO)
  parts.push(ZERO)
  const message = Buffer.concat(parts)
  message.writeUInt32BE(message.length, 0)
  message.writeUInt32BE(version, 4)
  return message
}

const ZERO = Buffer.alloc(1)

function pair(name: string, value: string): Buffer {
  return Buffer.from(`${name}\0${value}\0`, 'utf8')
}
