export interface AppOptions {
  readonly role: 'desk' | 'auth'
  readonly host: string
  /** Default 8080. */
  readonly port: number
  /** Holds `client`, `password`, `cookie-key` and `jwks.json`. */
  readonly secretsDir: string
}

/** What the app is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): AppOptions {
  const { ROLE, HOST = '0.0.0.0', PORT = '8080', SECRETS_DIR = '' } = env
  return { role: ROLE === 'auth' ? 'auth' : 'desk', host: HOST, port: Number(PORT), secretsDir: SECRETS_DIR }
}
