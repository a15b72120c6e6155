/** What a service is told by its environment, as text. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Where a service listens, and how much it says. */
export interface ListenOptions {
  /** An address of this machine. Default 0.0.0.0. */
  readonly host: string
  /** Default 8080; 0 takes any free port. */
  readonly port: number
  /** One of pino's levels. Default `info`. */
  readonly logLevel: string
}

export function readListenOptions(env: Environment = process.env): ListenOptions {
  const port = Number(env.PORT ?? 8080)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`PORT is not a port: ${env.PORT}`)
  return { host: env.HOST ?? '0.0.0.0', port, logLevel: env.LOG_LEVEL ?? 'info' }
}

/** The value of a variable that the service cannot do without. */
export function required(env: Environment, name: string): string {
  const value = env[name]
  if (value === undefined || value === '') throw new Error(`the environment variable ${name} is missing`)
  return value
}

/** A variable that holds the base of a peer's URLs, without the slash at its end. */
export function requiredUrl(env: Environment, name: string): string {
  const value = required(env, name)
  if (!URL.canParse(value)) throw new Error(`${name} is not a URL`)
  return value.replace(/\/+$/, '')
}
