import type { Facts, RequestView } from '../model/request.ts'

/** Every value of a cookie, in the order sent. */
export function cookieValues(request: RequestView, name: string): readonly string[] {
  const values: string[] = []
  for (const line of request.headers('cookie')) {
    for (const pair of line.split(';')) {
      const value = cookieValue(pair, name)
      if (value !== undefined) values.push(value)
    }
  }
  return values
}

/** Names of the cookies that a request has, each once. */
export function cookieNames(request: RequestView): readonly string[] {
  const pairs = request.headers('cookie').flatMap((line) => line.split(';'))
  return [...new Set(pairs.flatMap((pair) => nameOf(pair) ?? []))]
}

/** Has the upstream's request go without the cookies whose names `isLeftOut`. */
export function stripCookies(request: RequestView, facts: Facts, isLeftOut: (name: string) => boolean): void {
  const lines = request.headers('cookie')
  if (lines.length === 0) return
  // Another strip may have run: what it left is what there is.
  const earlier = facts.setRequestHeaders?.findIndex(([set]) => set === 'cookie') ?? -1
  const pairs = (earlier === -1 ? lines : [facts.setRequestHeaders?.[earlier]?.[1] ?? '']).flatMap((line) =>
    line.split(';').map((pair) => pair.trim()),
  )
  const others = pairs.filter((pair) => pair !== '' && !isLeftOut(nameOf(pair) ?? ''))
  if (others.length === pairs.length) return
  if (earlier !== -1) facts.setRequestHeaders?.splice(earlier, 1)
  if (others.length === 0) {
    facts.removeRequestHeaders ??= []
    facts.removeRequestHeaders.push('cookie')
  } else {
    facts.setRequestHeaders ??= []
    facts.setRequestHeaders.push(['cookie', others.join('; ')])
  }
}

/** RFC 6265, 5.2: white space around name and value does not count. Names are compared to the letter. */
function cookieValue(pair: string, name: string): string | undefined {
  const equals = pair.indexOf('=')
  if (equals === -1 || pair.slice(0, equals).trim() !== name) return undefined
  return pair.slice(equals + 1).trim()
}

function nameOf(pair: string): string | undefined {
  const equals = pair.indexOf('=')
  return equals === -1 ? undefined : pair.slice(0, equals).trim()
}
