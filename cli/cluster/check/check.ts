import type { ClusterFacts } from '../facts.ts'
import type { Look } from '../read.ts'

/** One thing that should hold of a mesh on a cluster. */
export interface ClusterCheck {
  /** Stable; its anchor in docs/troubleshooting.md. */
  readonly id: string
  /** What holds when all is well, in a few words. */
  readonly title: string
  judge(facts: ClusterFacts): Judgement
}

export interface CheckSection {
  readonly title: string
  readonly checks: readonly ClusterCheck[]
}

/** What a check came to. */
export type Judgement =
  | {
      readonly kind: 'judged'
      readonly problems: readonly Problem[]
      /** What was seen, in a few words. */
      readonly detail?: string | undefined
    }
  /** It cannot be said: what it needs was not there, or could not be looked at. Another check says why that is wrong, if it is. */
  | { readonly kind: 'skipped'; readonly why: string }

/** An `error` is not as it should be. A `warning` may be meant; `info` is worth knowing. */
export interface Problem {
  readonly severity: 'error' | 'warning' | 'info'
  /** `Kind/namespace/name`. */
  readonly resource?: string | undefined
  /** What is, and why that matters. */
  readonly message: string
  /** What would be right. */
  readonly fix?: string | undefined
  /** Something to paste, lines long. */
  readonly paste?: string | undefined
}

export const TROUBLESHOOTING = 'docs/troubleshooting.md'

/** The page and the place of a check in it. */
export function docsOf({ id }: Pick<ClusterCheck, 'id'>): string {
  return `${TROUBLESHOOTING}#${id}`
}

export function judged(problems: readonly Problem[], detail?: string): Judgement {
  return { kind: 'judged', problems, detail }
}

export function skipped(why: string): Judgement {
  return { kind: 'skipped', why }
}

export function error(resource: string | undefined, message: string, fix?: string): Problem {
  return { severity: 'error', resource, message, fix }
}

export function warn(resource: string | undefined, message: string, fix?: string): Problem {
  return { severity: 'warning', resource, message, fix }
}

export function info(resource: string | undefined, message: string, fix?: string): Problem {
  return { severity: 'info', resource, message, fix }
}

/** Judges what was seen; skips where it was not. */
export function ifSeen<T>(look: Look<T>, what: string, judge: (value: T) => Judgement): Judgement {
  switch (look.kind) {
    case 'seen':
      return judge(look.value)
    case 'absent':
      return skipped(`there is no ${what}`)
    case 'failed':
      return skipped(look.isForbidden ? 'you may not read it' : `${what} cannot be read: ${look.why}`)
  }
}

/** `1 pod`, `2 pods`, `2 policies`. */
export function counted(count: number, word: string): string {
  if (count === 1) return `1 ${word}`
  return `${count} ${/[^aeiou]y$/.test(word) ? `${word.slice(0, -1)}ies` : `${word}s`}`
}

/** Names, of which there may be many: the first five. */
export function some(names: readonly string[]): string {
  return names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`
}
