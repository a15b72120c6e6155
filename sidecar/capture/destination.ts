import type { Socket } from 'node:net'
import { formatIpAddress, readIpAddress } from '../../model/match/ip-address.ts'

/** Where a captured connection was going. */
export interface Destination {
  /** In the one spelling of {@link oneSpelling}. */
  readonly address: string
  readonly port: number
}

/** Where a captured connection was going before the kernel redirected it here; undefined: the kernel does not know. */
export type OriginalDestination = (socket: Socket) => Destination | undefined

/** One spelling for each address, as {@link formatIpAddress} has it; what is no address stays as it is. */
export function oneSpelling(address: string): string {
  const parsed = readIpAddress(address)
  return parsed === undefined ? address : formatIpAddress(parsed)
}

/** `10.0.0.1:80`, `[fd00:0:0:0:0:0:0:1]:80`. */
export function describeDestination({ address, port }: Destination): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
