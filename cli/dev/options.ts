/** What of the user's own environment an app gets, and our own processes too: nothing else of it concerns them. */
const INHERITED = ['PATH', 'HOME', 'TZ', 'LANG'] as const

export function inheritedEnvironment(env: NodeJS.ProcessEnv = process.env): Readonly<Record<string, string>> {
  return Object.fromEntries(INHERITED.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])))
}
