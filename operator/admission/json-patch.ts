import { isSame } from '../../model/same.ts'

/** One step of a JSON Patch (RFC 6902). Only those three are needed to make any document of any other. */
export type PatchStep =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }

/**
 * The patch that makes `after` of `before`, two JSON documents. Members that are undefined count as absent.
 *
 * Lists are compared from both ends: what was put into one place of a list is added there, and items that stand behind it
 * are not sent again.
 */
export function jsonPatch(before: unknown, after: unknown): readonly PatchStep[] {
  const steps: PatchStep[] = []
  compare(before, after, '', steps)
  return steps
}

function compare(before: unknown, after: unknown, path: string, steps: PatchStep[]): void {
  if (isSame(before, after)) return
  if (Array.isArray(before) && Array.isArray(after)) compareLists(before, after, path, steps)
  else if (isObject(before) && isObject(after)) compareObjects(before, after, path, steps)
  else steps.push({ op: 'replace', path, value: after })
}

function compareObjects(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  path: string,
  steps: PatchStep[],
): void {
  for (const name of Object.keys(before)) {
    if (before[name] !== undefined && (!Object.hasOwn(after, name) || after[name] === undefined)) {
      steps.push({ op: 'remove', path: `${path}/${escaped(name)}` })
    }
  }
  for (const [name, value] of Object.entries(after)) {
    if (value === undefined) continue
    const member = `${path}/${escaped(name)}`
    if (!Object.hasOwn(before, name) || before[name] === undefined) steps.push({ op: 'add', path: member, value })
    else compare(before[name], value, member, steps)
  }
}

function compareLists(before: readonly unknown[], after: readonly unknown[], path: string, steps: PatchStep[]): void {
  const shorter = Math.min(before.length, after.length)
  let head = 0
  while (head < shorter && isSame(before[head], after[head])) head += 1
  let tail = 0
  while (tail < shorter - head && isSame(before.at(-1 - tail), after.at(-1 - tail))) tail += 1

  const gone = before.length - head - tail
  const come = after.length - head - tail
  const both = Math.min(gone, come)
  for (let i = 0; i < both; i++) compare(before[head + i], after[head + i], `${path}/${head + i}`, steps)
  for (let i = both; i < gone; i++) steps.push({ op: 'remove', path: `${path}/${head + both}` })
  for (let i = both; i < come; i++) steps.push({ op: 'add', path: `${path}/${head + i}`, value: after[head + i] })
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** RFC 6901, 3. */
function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}
