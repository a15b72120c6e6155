/** Everything secret that a run made or was given, to look for afterwards where it must not be (T31). */
export interface Vault {
  /** Takes a secret in, and returns it. `name` is what a finding is called: never the secret. */
  keep(name: string, secret: string): string
  /** What would give a secret away, by name. */
  needles(): ReadonlyMap<string, string>
}

/** Shorter ones would be found by chance. */
const MIN_LENGTH = 12

export function createVault(): Vault {
  const needles = new Map<string, string>()
  const add = (name: string, text: string) => {
    if (text.length >= MIN_LENGTH && !needles.has(text)) needles.set(text, name)
  }
  return {
    keep(name, secret) {
      for (const text of telltales(secret)) add(name, text)
      return secret
    },
    needles: () => new Map([...needles].map(([text, name]) => [text, name])),
  }
}

/** Parts of a secret that are as bad as the whole: payload and signature of a token, lines of a key. */
function telltales(secret: string): readonly string[] {
  if (secret.includes('PRIVATE KEY-----')) {
    const body = secret.split(/-----BEGIN[^-]*PRIVATE KEY-----|-----END[^-]*PRIVATE KEY-----/)[1] ?? ''
    // The first line says only which kind of key it is.
    const lines = body.split('\n').map((line) => line.trim())
    return lines.filter((line) => line !== '').slice(1)
  }
  const parts = secret.split('.')
  if (parts.length === 3 && secret.startsWith('eyJ')) return [secret, parts[1] ?? '', parts[2] ?? '']
  return [secret.trim()]
}
