/** How an app answers: always well, with 503 every other time, or not before a second is over every other time. */
export const MOODS = ['steady', 'flaky', 'slow'] as const
export type Mood = (typeof MOODS)[number]

export interface AppOptions {
  readonly name: string
  readonly mood: Mood
  readonly host: string
  /** Default 8080. */
  readonly port: number
}

/** What the app is told by its environment, as text. */
export function readOptions(env: Readonly<Record<string, string | undefined>> = process.env): AppOptions {
  const mood = MOODS.find((known) => known === env['MOOD']) ?? 'steady'
  return { name: env['NAME'] ?? 'app', mood, host: env['HOST'] ?? '0.0.0.0', port: Number(env['PORT'] ?? 8080) }
}
