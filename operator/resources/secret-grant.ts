/** A Secret that some resource names. */
export interface SecretRef {
  readonly namespace: string
  readonly name: string
}

/** Of the Role and the RoleBinding that let the operator read Secrets of a namespace. */
const GRANT_NAME = 'hauberk-secrets'
const OPERATOR = { kind: 'ServiceAccount', name: 'hauberk-operator', namespace: 'hauberk-system' } as const
const VERBS = ['get', 'watch'] as const

/**
 * The Role and RoleBinding with which each namespace lets the operator read the Secrets that its resources name, and no
 * others: YAML for `kubectl apply -f -`. A namespace's earlier grant is replaced by it, so name all of its Secrets.
 */
export function secretGrantYaml(refs: readonly SecretRef[]): string {
  const byNamespace = Map.groupBy(refs, ({ namespace }) => namespace)
  return [...byNamespace.keys()]
    .sort()
    .map((namespace) => {
      const names = [...new Set((byNamespace.get(namespace) ?? []).map(({ name }) => name))].sort()
      return grantYaml(namespace, names)
    })
    .join('---\n')
}

/** What is said of a Secret that may not be read, and what would be right: in one line each. */
export function secretGrant(namespace: string, name: string): { readonly message: string; readonly fix: string } {
  return {
    message: `the operator may not read Secret ${namespace}/${name}: a Role of ${namespace} with ${VERBS.join(' and ')} on secrets, resourceNames [${name}], must be bound to ServiceAccount ${OPERATOR.namespace}/${OPERATOR.name}`,
    fix: '`hauberk check` prints the YAML of both',
  }
}

/** Names are quoted: YAML would take `123` for a number. */
function grantYaml(namespace: string, names: readonly string[]): string {
  return `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: ${GRANT_NAME}
  namespace: ${JSON.stringify(namespace)}
rules:
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [${names.map((name) => JSON.stringify(name)).join(', ')}]
  verbs: [${VERBS.join(', ')}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: ${GRANT_NAME}
  namespace: ${JSON.stringify(namespace)}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: ${GRANT_NAME}
subjects:
- kind: ${OPERATOR.kind}
  name: ${OPERATOR.name}
  namespace: ${OPERATOR.namespace}
`
}
