import { type Document, isAlias, isCollection, isSeq, type Node, visit } from 'yaml'
import type { PatchStep } from '../../operator/admission/json-patch.ts'

/**
 * Changes a YAML document by a JSON patch, below `root`: what the patch does not touch keeps its comments and its form.
 * False for a document whose parts stand in several places of it at once: a change of one would be a change of all.
 */
export function editDocument(
  document: Document,
  root: readonly (string | number)[],
  patch: readonly PatchStep[],
): boolean {
  if (hasAliases(document)) return false
  for (const step of patch) {
    const keys = step.path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    const path = [...root, ...keys]
    const last = path.at(-1)
    const parent = document.getIn(path.slice(0, -1), true) as Node | undefined
    if (isSeq(parent)) {
      const index = Number(last)
      if (step.op === 'remove') parent.delete(index)
      else if (step.op === 'add') parent.items.splice(index, 0, document.createNode(step.value))
      else parent.items[index] = document.createNode(step.value)
    } else if (step.op === 'remove') document.deleteIn(path)
    else {
      // `annotations:` with nothing behind it is a scalar that nothing can be put into.
      if (parent !== undefined && !isCollection(parent)) document.setIn(path.slice(0, -1), document.createNode({}))
      document.setIn(path, document.createNode(step.value))
    }
  }
  return true
}

function hasAliases(document: Document): boolean {
  let found = false
  visit(document, {
    Node(_key, node) {
      if (!isAlias(node)) return undefined
      found = true
      return visit.BREAK
    },
  })
  return found
}
