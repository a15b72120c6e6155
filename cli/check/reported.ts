import { resourceKey } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { ResourceReport } from '../../operator/translate/report.ts'

/** What translation found, resource by resource: the issues of the reports, and the conditions that no issue tells of. */
export function reportedIssues(reports: ReadonlyMap<string, ResourceReport>): readonly Issue[] {
  return [...reports].flatMap(([key, report]) => {
    const own = report.issues.map((found) => ({ ...found, resource: found.resource ?? key }))
    return own.some(({ severity }) => severity === 'error') ? own : [...own, ...untold(report)]
  })
}

function untold({ kind, namespace, name, parents = [], listeners = [] }: ResourceReport): readonly Issue[] {
  const resource = resourceKey(kind, namespace, name)
  const found: Issue[] = []
  for (const [i, { accepted, resolvedRefs }] of parents.entries()) {
    const path = `spec.parentRefs[${i}]`
    if (accepted.status === 'False') {
      found.push({ ...issue('route-not-attached', path, sentence(accepted.message)), resource })
    } else if (resolvedRefs.status === 'False') {
      found.push({ ...issue('backend-not-resolved', path, sentence(resolvedRefs.message)), resource })
    }
  }
  for (const { name: listener, accepted, resolvedRefs } of listeners) {
    const wrong = [accepted, resolvedRefs].find(({ status }) => status === 'False')
    if (wrong !== undefined) {
      found.push({
        ...issue('listener-not-valid', 'spec.listeners', `${listener}: ${sentence(wrong.message)}`),
        resource,
      })
    }
  }
  return found
}

/** Conditions are whole sentences; issues are what comes after a path. */
function sentence(message: string): string {
  return message.replace(/\.$/, '')
}
