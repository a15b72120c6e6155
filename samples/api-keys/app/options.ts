export interface AppOptions {
  readonly host: string
  /** Default 8080. */
  readonly port: number
}

/** What the app is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): AppOptions {
  const { HOST = '0.0.0.0', PORT = '8080' } = env
  return { host: HOST, port: Number(PORT) }
}
