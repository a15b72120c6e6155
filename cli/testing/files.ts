import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** A directory with these files, gone after the test. */
export async function directoryOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hauberk-cli-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return path
}

/** YAML of a workload of namespace `shop`, with a Service on port 80 that leads to its port. */
export function workloadYaml(name: string, port: { readonly name: string; readonly number: number } = HTTP): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec:
  selector: {app: ${name}}
  ports: [{name: ${port.name}, port: 80, targetPort: ${port.number}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      serviceAccountName: ${name}
      containers: [{name: app, ports: [{name: ${port.name}, containerPort: ${port.number}}]}]
`
}

const HTTP = { name: 'http', number: 8080 }

/** YAML of a SecurityPolicy of namespace `shop` for a Service; `spec` is what follows `targetRefs`, indented by two. */
export function policyYaml(name: string, spec: string, target = name): string {
  return `apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: ${name}, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: ${target}}]
${spec}`
}
