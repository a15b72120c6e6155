/** The policy that a rule of a config came from: looks for `{name: RULE, origin: ...}` anywhere in it. */
export function findOrigin(value: unknown, rule: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { name, origin } = value as { readonly name?: unknown; readonly origin?: unknown }
  if (name === rule && typeof origin === 'string') return origin
  for (const inner of Object.values(value)) {
    const found = findOrigin(inner, rule)
    if (found !== undefined) return found
  }
  return undefined
}
