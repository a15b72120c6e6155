import type { Exit } from './child-process.ts'
import type { Part } from './part.ts'

/** What is not ready, and the end of the first one's log. */
export function describeUnready(parts: readonly Part[], readyMs: number): string {
  const waiting = parts.filter(({ isReady }) => !isReady)
  const names = waiting.map(({ name }) => name).join(', ')
  const [first] = waiting
  if (first === undefined)
    return `the mesh is not ready after ${readyMs / 1_000} s: not every sidecar knows the endpoints`
  return `not ready after ${readyMs / 1_000} s: ${names}${lastLines(first)}`
}

/** What ended once too often, how, and the end of its log. */
export function describeFailing(name: string, how: Exit | Error, parts: readonly Part[]): string {
  const part = parts.find((one) => one.name === name)
  return `${name} does not stay up: ${describeEnd(how)}${part === undefined ? '' : lastLines(part)}`
}

/** How something ended, in words. */
export function describeEnd(how: Exit | Error): string {
  if (how instanceof Error) return how.message
  return how.signal === null ? `it ended with code ${how.code}` : `it was ended by ${how.signal}`
}

function lastLines({ log }: Part): string {
  const lines = log.last().map((line) => `\n  ${line}`)
  return `\nThe end of ${log.path}:${lines.join('')}`
}
