/** What has no place in a committed file, and why. Spelled so that this file does not contain it. */
const FORBIDDEN: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  { pattern: /\b(?:TO(?=D)DO|FIX(?=M)ME|XX(?=X)X)\b/, why: 'finish it, or say in the README that it is missing' },
  { pattern: /(?:^|[\s"'`(=:])\/(?:work|root)\/[\w.-]/, why: 'a path of one machine' },
  { pattern: /(?:^|[\s"'`(=:])\/home\/(?!node\b)[\w.-]/, why: 'a path of one machine' },
  {
    pattern:
      /\b(?:registry[.]npmjs[.]org|registry[.]yarnpkg[.]com|pypi[.]org|repo1?[.]maven[.]org|proxy[.]golang[.]org)\b/,
    why: 'the host of a package registry: each machine has its own',
  },
  { pattern: /-----BEGIN (?:EC |RSA |ENCRYPTED )?PRIVATE KEY-----\\?n?[\sA-Za-z0-9+/=\\]{64}/, why: 'a private key' },
]

/** Lines of a text that hold something forbidden, as `LINE why`. */
export function forbiddenWords(text: string): readonly string[] {
  const found: string[] = []
  for (const [i, line] of text.split('\n').entries()) {
    for (const { pattern, why } of FORBIDDEN)
      if (pattern.test(line)) found.push(`${i + 1} ${why}: ${line.trim().slice(0, 80)}`)
  }
  return found
}
