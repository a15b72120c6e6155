export interface AppOptions {
  readonly name: string
  /** The Service that requests are passed on to; absent: it answers by itself. */
  readonly calls: string | undefined
  readonly host: string
  /** Default 8080. */
  readonly port: number
}

/** What the app is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): AppOptions {
  const { NAME = 'app', CALLS, HOST = '0.0.0.0', PORT = '8080' } = env
  return { name: NAME, calls: CALLS, host: HOST, port: Number(PORT) }
}
