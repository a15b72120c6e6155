import { base64url, CompactEncrypt, compactDecrypt } from 'jose'
import * as v from 'valibot'
import type { FilterCrypto } from '../../model/filter.ts'
import { Login, Session } from './session.ts'

/** What a sealed text is of, so that none can stand for the other. */
type Purpose = 'login' | 'session'

/**
 * Seals what cookies hold, and opens it: JWE with a key of ours (RFC 7518, 4.5 and 5.3: `dir`, A256GCM), so that a browser can
 * neither read nor write it. The first key seals, and all of them open, which is how they are replaced.
 */
export class Seal {
  readonly #keys: readonly { readonly id: string; readonly bytes: Uint8Array }[]

  constructor(texts: readonly string[], { sha256 }: Pick<FilterCrypto, 'sha256'>) {
    this.#keys = texts.map((text) => ({
      id: sha256(`cookie key id ${text}`).slice(0, 8),
      bytes: base64url.decode(sha256(`cookie key ${text}`)),
    }))
  }

  sealSession(session: Session): Promise<string> {
    return this.#seal('session', session)
  }

  sealLogin(login: Login): Promise<string> {
    return this.#seal('login', login)
  }

  openSession(text: string): Promise<Session | undefined> {
    return this.#open('session', text, Session)
  }

  openLogin(text: string): Promise<Login | undefined> {
    return this.#open('login', text, Login)
  }

  async #seal(purpose: Purpose, value: Session | Login): Promise<string> {
    const [key] = this.#keys
    if (key === undefined) throw new Error('there is no cookie key')
    return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(value)))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: key.id, typ: purpose })
      .encrypt(key.bytes)
  }

  /** Undefined for what nobody with one of the keys has sealed, or has sealed as something else. */
  async #open<Schema extends v.GenericSchema>(
    purpose: Purpose,
    text: string,
    schema: Schema,
  ): Promise<v.InferOutput<Schema> | undefined> {
    try {
      const { plaintext } = await compactDecrypt(
        text,
        ({ kid, typ }) => {
          const key = typ === purpose ? this.#keys.find(({ id }) => id === kid) : undefined
          if (key === undefined) throw new Error('sealed by nobody')
          return key.bytes
        },
        { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] },
      )
      const parsed = v.safeParse(schema, JSON.parse(new TextDecoder().decode(plaintext)))
      return parsed.success ? parsed.output : undefined
    } catch {
      return undefined
    }
  }
}
