import { scriptOf } from './script.ts'

/** Something small to run in a namespace of a scenario. */
export interface AppOptions {
  readonly namespace: string
  readonly name: string
  /** Default 1. */
  readonly replicas?: number
  /** YAML of the pod template's container, indented by eight: probes, hooks. Default: ready when it listens. */
  readonly container?: string
  /** YAML of the pod template's metadata annotations, one a line. */
  readonly annotations?: readonly string[]
  /** Who may call it: `namespace/account`; nobody, if it is empty. Absent: no policy. */
  readonly callers?: readonly string[]
  /** The node that its pods run on, whatever taints it has. Default: any. */
  readonly node?: string
  /** True: the Service has an address of either family. */
  readonly dualStack?: boolean
}

/** Without it a pod is in its Service before its application listens, and a rollout loses requests that no mesh can save. */
const READY_WHEN_LISTENING = '        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n'

/** A Deployment that answers with what it was sent, its Service on port 80, and a policy. */
export async function echoApp(options: AppOptions): Promise<string> {
  const {
    namespace,
    name,
    replicas = 1,
    container = READY_WHEN_LISTENING,
    annotations = [],
    callers,
    node,
    dualStack,
  } = options
  const rule = callers?.length ? `{name: callers, from: {serviceAccounts: [${callers.join(', ')}]}}` : ''
  const policy =
    callers === undefined
      ? ''
      : `---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  targetRefs: [{kind: Service, name: ${name}}]
  authorization: {allow: [${rule}]}
`
  return `apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}, namespace: ${namespace}}
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  selector: {app: ${name}}${dualStack ? '\n  ipFamilyPolicy: RequireDualStack' : ''}
  ports: [{name: http, appProtocol: http, port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  replicas: ${replicas}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata:
      labels: {app: ${name}}
      annotations: {${annotations.join(', ')}}
    spec:
      serviceAccountName: ${name}${placed(node)}
      containers:
      - name: app
        image: hauberk-shop:0.1.0
        command: [node, --input-type=module, --eval, ${JSON.stringify(await scriptOf('echo'))}]
        env: [{name: HOST, value: "::"}]
        ports: [{name: http, containerPort: 8080}]
${container}${policy}`
}

/** A Deployment that does nothing by itself: scenarios run what they want in it. */
export function clientApp({ namespace, name, node }: Pick<AppOptions, 'namespace' | 'name' | 'node'>): string {
  return `apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}, namespace: ${namespace}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata:
      labels: {app: ${name}}
    spec:
      serviceAccountName: ${name}${placed(node)}
      terminationGracePeriodSeconds: 5
      containers:
      - name: app
        image: hauberk-shop:0.1.0
        command: [node, --eval, "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1e6)"]
`
}

/** YAML of a pod's specification. */
function placed(node: string | undefined): string {
  if (node === undefined) return ''
  return `\n      nodeSelector: {kubernetes.io/hostname: ${node}}\n      tolerations: [{operator: Exists}]`
}
