import type { LabelSelector } from '../resource.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../result.ts'

/** Says whether the labels of a resource are selected; no labels at all are the same as empty ones. */
export type LabelMatcher = (labels: Readonly<Record<string, string>> | undefined) => boolean

/** `metadata.labels` of Kubernetes: an optional DNS prefix of at most 253 characters, a slash, a name of at most 63. */
const PREFIX = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

const EVERYTHING: LabelMatcher = () => true

/**
 * Reads a `metav1.LabelSelector`. Its parts add up (AND); an empty one selects everything. As in Kubernetes, `NotIn`
 * and `DoesNotExist` select what lacks the label.
 */
export function parseLabelSelector(selector: LabelSelector): Result<LabelMatcher> {
  const issues: Issue[] = []
  const conditions: LabelMatcher[] = []
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    const path = `matchLabels[${JSON.stringify(key)}]`
    issues.push(...keyIssues(key, path), ...valueIssues(value, path))
    conditions.push((labels) => labelOf(labels, key) === value)
  }
  for (const [i, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const path = `matchExpressions[${i}]`
    issues.push(...keyIssues(key, `${path}.key`))
    for (const [j, value] of values.entries()) issues.push(...valueIssues(value, `${path}.values[${j}]`))
    const set = new Set(values)
    switch (operator) {
      case 'In':
      case 'NotIn': {
        if (set.size === 0) issues.push(malformed(`${path}.values`, `is empty`, `name the values of ${operator}`))
        const wanted = operator === 'In'
        conditions.push((labels) => {
          const value = labelOf(labels, key)
          return (value !== undefined && set.has(value)) === wanted
        })
        break
      }
      case 'Exists':
      case 'DoesNotExist': {
        if (set.size > 0) issues.push(malformed(`${path}.values`, `has no meaning with ${operator}`, 'leave it out'))
        const wanted = operator === 'Exists'
        conditions.push((labels) => (labelOf(labels, key) !== undefined) === wanted)
        break
      }
      default:
        issues.push(malformed(`${path}.operator`, 'is unknown', 'use In, NotIn, Exists or DoesNotExist'))
    }
  }
  if (issues.length > 0) return fail(...issues)
  if (conditions.length === 0) return ok(EVERYTHING)
  return ok((labels) => conditions.every((selects) => selects(labels)))
}

function labelOf(labels: Readonly<Record<string, string>> | undefined, key: string): string | undefined {
  return labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
}

function keyIssues(key: string, path: string): Issue[] {
  const slash = key.lastIndexOf('/')
  const isKey = NAME.test(key.slice(slash + 1)) && (slash === -1 || PREFIX.test(key.slice(0, slash)))
  return isKey ? [] : [malformed(path, `has a key '${key}' that no label has`, 'write [prefix/]name')]
}

function valueIssues(value: string, path: string): Issue[] {
  return value === '' || NAME.test(value)
    ? []
    : [malformed(path, `has a value '${value}' that no label has`, 'use at most 63 of letters, digits, -, _ and .')]
}

function malformed(path: string, message: string, fix: string): Issue {
  return under(path, issue('malformed-label-selector', '', message, fix))
}
