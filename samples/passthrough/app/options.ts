export interface AppOptions {
  /** What its certificate is for. */
  readonly hostname: string
  readonly host: string
  /** Default 8443. */
  readonly port: number
}

/** What the app is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): AppOptions {
  return {
    hostname: env['HOSTNAME_SHOWN'] ?? 'localhost',
    host: env['HOST'] ?? '0.0.0.0',
    port: Number(env['PORT'] ?? 8443),
  }
}
