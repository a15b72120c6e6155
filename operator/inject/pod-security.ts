import { type Issue, issue } from '../../model/result.ts'

/** The label by which a namespace has the API server refuse pods (Pod Security Admission). */
const ENFORCE_LABEL = 'pod-security.kubernetes.io/enforce'

/**
 * The API server of a namespace with one of these levels refuses NET_ADMIN, and with it the init container that writes
 * the rules of capture. Said here, by name, because what the API server says names no way out.
 */
const REFUSING_LEVELS: ReadonlySet<string> = new Set(['baseline', 'restricted'])

/** Why pods of a namespace cannot be injected; undefined when they can be. */
export function podSecurityIssue({
  name,
  labels,
}: {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}): Issue | undefined {
  const level = labels[ENFORCE_LABEL] ?? ''
  if (!REFUSING_LEVELS.has(level)) return undefined
  return issue(
    'pod-security',
    '',
    `namespace ${name} has the label ${ENFORCE_LABEL}: ${level}, with which the API server refuses the NET_ADMIN of the container hauberk-init`,
    `kubectl label namespace ${name} ${ENFORCE_LABEL}=privileged --overwrite, and keep the level as warn and audit: docs/injection.md#pod-security`,
  )
}
