export interface AppOptions {
  readonly role: 'auth' | 'orders' | 'storefront'
  readonly host: string
  /** Default 8080. */
  readonly port: number
  /** Holds the secret that the clients `ann` and `bob` have in common. */
  readonly secretFile: string
}

/** What the app is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): AppOptions {
  const { ROLE, HOST = '0.0.0.0', PORT = '8080', SECRET_FILE = '' } = env
  return {
    role: ROLE === 'auth' || ROLE === 'storefront' ? ROLE : 'orders',
    host: HOST,
    port: Number(PORT),
    secretFile: SECRET_FILE,
  }
}
