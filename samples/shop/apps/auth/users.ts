import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

/** Password hashes by user name. */
export type Users = ReadonlyMap<string, PasswordHash>

/** What is kept of a password: scrypt (RFC 7914) with its cost numbers. */
export interface PasswordHash {
  /** log2 of the cost; the memory is 128 * 2^ln * r bytes. */
  readonly ln: number
  readonly r: number
  readonly p: number
  readonly salt: Buffer
  readonly key: Buffer
}

/** Reads `{"NAME": "$scrypt$ln=15,r=8,p=3$SALT$KEY"}`; salt and key are base64 without padding (the PHC string format). */
export function parseUsers(text: string): Users {
  const value = JSON.parse(text) as Record<string, string>
  return new Map(Object.entries(value).map(([name, hash]) => [name, parseHash(name, hash)]))
}

/**
 * Whether this is the user's password.
 *
 * A name that does not exist costs the same time as one that does, so that an answer's time does not tell who exists.
 */
export async function isPassword(users: Users, name: string, password: string): Promise<boolean> {
  const known = users.get(name)
  const hash = known ?? NOBODY
  const key = await derive(password, hash)
  return timingSafeEqual(key, hash.key) && known !== undefined
}

/** Compared with when there is no such user; no password leads to it. */
const NOBODY: PasswordHash = { ln: 15, r: 8, p: 3, salt: randomBytes(16), key: randomBytes(32) }

const FORMAT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22,})\$([A-Za-z0-9+/]{43,})$/

function parseHash(name: string, text: string): PasswordHash {
  const [, ln, r, p, salt, key] = FORMAT.exec(text) ?? []
  if (!salt || !key) throw new Error(`the password hash of ${name} is not "$scrypt$ln=..,r=..,p=..$SALT$KEY"`)
  return {
    ln: Number(ln),
    r: Number(r),
    p: Number(p),
    salt: Buffer.from(salt, 'base64'),
    key: Buffer.from(key, 'base64'),
  }
}

function derive(password: string, { ln, r, p, salt, key }: PasswordHash): Promise<Buffer> {
  const N = 2 ** ln
  return new Promise((resolve, reject) => {
    // OpenSSL wants room for its working memory on top of the 128 * N * r of the algorithm.
    scrypt(password, salt, key.length, { N, r, p, maxmem: 2 * 128 * N * r }, (error, derived) => {
      if (error) reject(error)
      else resolve(derived)
    })
  })
}
