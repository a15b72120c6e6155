import { Socket } from 'node:net'

/** Bytes that clients' sockets read into: what one record of TLS can hold (RFC 8446, 5.1). */
export const LENT_READ_BYTES = 16_384

/** Told of what was read: `lent[0, length)`, for the time of the call only. */
export type OnLentRead = (length: number, lent: Buffer) => void

/**
 * Has what the socket receives from now on read into `buffer`, which all sockets of a thread may share, in place of a buffer
 * of its own for each read that goes through a readable stream. What had been read before, and what is put back by `unshift`,
 * still comes as `data`, and comes first. `pause`, `resume` and `end` are as ever.
 *
 * It is what the option `onread` of `net.connect` does. Node has that option for sockets that it connects and for none that
 * were accepted, though both are of one class: hence its own fields are set here, as the constructor sets them. False: this
 * Node does not have them, and everything comes as `data`.
 */
export function lendReads(socket: Socket, buffer: Buffer, onRead: OnLentRead): boolean {
  fields ??= findFields()
  const handle = (socket as SocketWithHandle)._handle
  if (fields === 'unknown' || typeof handle?.useUserBuffer !== 'function') return false
  const inner = socket as unknown as Record<symbol, unknown>
  const isLendingAlready = inner[fields.buffer] === buffer
  inner[fields.callback] = (length: number, lent: Buffer) => {
    onRead(length, lent)
    return true
  }
  if (isLendingAlready) return true
  inner[fields.buffer] = buffer
  handle.useUserBuffer(buffer)
  return true
}

/** Has what is received come as `data` again: for whoever takes a socket over that lends. */
export function keepReads(socket: Socket): void {
  if (fields === undefined || fields === 'unknown') return
  const inner = socket as unknown as Record<symbol, unknown>
  if (inner[fields.buffer] === null || inner[fields.buffer] === undefined) return
  inner[fields.callback] = (length: number, lent: Buffer) => socket.push(Buffer.from(lent.subarray(0, length)))
}

interface SocketWithHandle {
  readonly _handle?: { useUserBuffer?(buffer: Buffer): void } | null
}

interface Fields {
  readonly buffer: symbol
  readonly callback: symbol
}

let fields: Fields | 'unknown' | undefined

function findFields(): Fields | 'unknown' {
  const symbols = Object.getOwnPropertySymbols(new Socket())
  const buffer = symbols.find(({ description }) => description === 'kBuffer')
  const callback = symbols.find(({ description }) => description === 'kBufferCb')
  return buffer === undefined || callback === undefined ? 'unknown' : { buffer, callback }
}
