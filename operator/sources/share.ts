/** Gives for a JSON value one that says the same and that others have already: pods of one template share all but their names. */
export type Share = <T>(value: T) => T

/** Values that are remembered at once; the one that was made first is forgotten first, and then held twice at worst. */
const MAX_VALUES = 4_096

/** What is shared must never be changed. */
export function createShare(maxValues: number = MAX_VALUES): Share {
  const values = new Map<string, unknown>()
  return <T>(value: T): T => {
    if (value === undefined) return value
    const text = JSON.stringify(value)
    const known = values.get(text)
    if (known !== undefined) return known as T
    if (values.size >= maxValues) {
      for (const oldest of values.keys()) {
        values.delete(oldest)
        break
      }
    }
    values.set(text, value)
    return value
  }
}
