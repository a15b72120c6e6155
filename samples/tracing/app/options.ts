export interface CollectorOptions {
  readonly host: string
  /** Default 4318, which is OTLP over HTTP. */
  readonly port: number
}

/** What the collector is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): CollectorOptions {
  const { HOST = '0.0.0.0', PORT = '4318' } = env
  return { host: HOST, port: Number(PORT) }
}
