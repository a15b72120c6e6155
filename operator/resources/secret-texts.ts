/**
 * What a text is that holds a secret. A tenant writes the text: each pattern begins where no other of its beginnings is
 * within reach, or a long text of beginnings would take the square of its length.
 */
const SECRET_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----/, 'holds a private key'],
  [/(?<![A-Za-z0-9_-])ey[JI][A-Za-z0-9_-]{8,}\.ey[JI][A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}/, 'holds a signed token'],
  [/:\/\/[^\s/@:]*:[^\s/@]+@/, 'holds a password'],
]

/** What secret a text holds, as the predicate of a sentence; undefined where none can be told by its form. */
export function secretIn(text: string): string | undefined {
  return SECRET_TEXTS.find(([pattern]) => pattern.test(text))?.[1]
}
