import { stringify } from 'yaml'
import type { Resource } from '../../model/resource.ts'
import { LOCAL_PORTS_ANNOTATION } from '../../operator/translate/workloads.ts'
import type { WorkloadPlan } from './plan.ts'

/** The pod of a workload on this machine, as the operator sees it: its sidecar's ports, and whether it is ready. */
export function podOf(plan: WorkloadPlan, ready: boolean): Resource {
  const [namespace = '', name = ''] = plan.pod.split('/')
  const [, owner = ''] = plan.id.split('/')
  const localPorts = Object.fromEntries(
    plan.placement.inbound.map(({ containerPort, bind }) => [containerPort, bind.port]),
  )
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: plan.labels,
      annotations: { [LOCAL_PORTS_ANNOTATION]: JSON.stringify(localPorts) },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: owner }],
    },
    spec: {
      serviceAccountName: plan.serviceAccount,
      containers: plan.containers.map(({ name: container, ports = [] }, i) => ({ name: container ?? `c${i}`, ports })),
    },
    status: {
      phase: 'Running',
      podIP: '127.0.0.1',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  }
}

/** The file of one pod. */
export function podYaml(plan: WorkloadPlan, ready: boolean): string {
  return stringify(podOf(plan, ready))
}
