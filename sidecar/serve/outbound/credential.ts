import { timingSafeEqual } from 'node:crypto'
import type { ProxyPlace } from '../placement.ts'

const BASIC = /^basic +([A-Za-z0-9+/=]+) *$/i

/** Whether a `Proxy-Authorization` is the workload's own (RFC 7617). Takes the same time however much of it is right (T35). */
export function createCredentialCheck({
  username,
  password,
}: ProxyPlace['credential']): (header: string | undefined) => boolean {
  const expected = Buffer.from(Buffer.from(`${username}:${password}`).toString('base64'))
  return (header) => {
    const token = header === undefined ? undefined : BASIC.exec(header)?.[1]
    if (token === undefined) return false
    const given = Buffer.from(token)
    return given.length === expected.length && timingSafeEqual(given, expected)
  }
}
