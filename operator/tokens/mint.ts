import { sign } from 'node:crypto'
import { INTERNAL_TOKEN_TYPE } from '../../model/internal-tokens.ts'
import type { SigningKey } from './signing-keys.ts'

/** What a token says (section 3.2 of draft-ietf-oauth-transaction-tokens-08). Times in seconds since the epoch. */
export interface TokenClaims {
  readonly iss: string
  readonly aud: string
  readonly iat: number
  readonly exp: number
  readonly txn: string
  readonly sub: string
  readonly scope: string
  readonly req_wl: string
  readonly tctx?: unknown
  readonly rctx?: unknown
}

/** A JWS in compact serialization (RFC 7515, 7.1), signed by ES256 (RFC 7518, 3.4). */
export function mint(claims: TokenClaims, { kid, privateKey }: SigningKey): string {
  const header = `{"typ":"${INTERNAL_TOKEN_TYPE}","alg":"ES256","kid":"${kid}"}`
  const input = `${encode(header)}.${encode(JSON.stringify(claims))}`
  return `${input}.${rawSignature(sign('sha256', Buffer.from(input, 'latin1'), privateKey)).toString('base64url')}`
}

function encode(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url')
}

const INTEGER_BYTES = 32

/** R and S side by side, of the Ecdsa-Sig-Value in DER that OpenSSL writes (RFC 3279, 2.2.3). Node's own `dsaEncoding` is slower. */
function rawSignature(der: Buffer): Buffer {
  const raw = Buffer.alloc(2 * INTEGER_BYTES)
  const rEnd = 4 + der[3]!
  copyInteger(der.subarray(4, rEnd), raw, INTEGER_BYTES)
  copyInteger(der.subarray(rEnd + 2), raw, 2 * INTEGER_BYTES)
  return raw
}

/** A leading zero, where there is one, is DER's sign. */
function copyInteger(integer: Buffer, target: Buffer, end: number): void {
  const octets = integer.length > INTEGER_BYTES ? integer.subarray(integer.length - INTEGER_BYTES) : integer
  octets.copy(target, end - octets.length)
}
