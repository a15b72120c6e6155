export interface AppOptions {
  readonly role: 'accounts' | 'auth'
  readonly host: string
  /** Default 8080. */
  readonly port: number
  /** Holds the secret of the client `branch`. */
  readonly branchSecretFile: string
}

/** What the app is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): AppOptions {
  const { ROLE, HOST = '0.0.0.0', PORT = '8080', BRANCH_SECRET_FILE = '' } = env
  return {
    role: ROLE === 'auth' ? 'auth' : 'accounts',
    host: HOST,
    port: Number(PORT),
    branchSecretFile: BRANCH_SECRET_FILE,
  }
}
