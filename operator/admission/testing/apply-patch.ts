import type { PatchStep } from '../json-patch.ts'

const PLAIN = { writable: true, enumerable: true, configurable: true }

/** Applies a patch as RFC 6902, 4 says, for tests: a path that is not there throws. */
export function applyPatch(document: unknown, patch: readonly PatchStep[]): unknown {
  let result = structuredClone(document)
  for (const step of patch) {
    const keys = step.path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = keys.pop()
    if (last === undefined) {
      if (step.op === 'remove') throw new Error('the document itself cannot be removed')
      result = structuredClone(step.value)
      continue
    }
    const parent = keys.reduce<unknown>((value, key) => memberOf(value, key, step.path), result)
    if (Array.isArray(parent)) {
      const index = Number(last)
      const end = step.op === 'add' ? parent.length : parent.length - 1
      if (!/^(0|[1-9][0-9]*)$/.test(last) || index > end) throw new Error(`${step.path}: no such place`)
      if (step.op === 'add') parent.splice(index, 0, structuredClone(step.value))
      else if (step.op === 'remove') parent.splice(index, 1)
      else parent[index] = structuredClone(step.value)
    } else if (typeof parent === 'object' && parent !== null) {
      const members = parent as Record<string, unknown>
      if (step.op !== 'add') memberOf(members, last, step.path)
      if (step.op === 'remove') delete members[last]
      // Defined, for a member named __proto__ that is assigned would become what the object inherits from.
      else Object.defineProperty(members, last, { value: structuredClone(step.value), ...PLAIN })
    } else throw new Error(`${step.path}: no such place`)
  }
  return result
}

function memberOf(value: unknown, key: string, path: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key))
    throw new Error(`${path}: no such place`)
  return (value as Record<string, unknown>)[key]
}
