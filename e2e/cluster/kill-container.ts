import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { ClusterObject } from './kubectl.ts'

const exec = promisify(execFile)

/** The runtime's name of a container that runs. */
export function containerId({ status }: ClusterObject, name: string): string {
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])] as {
    readonly name: string
    readonly containerID?: string
  }[]
  const id = statuses.find((one) => one.name === name)?.containerID?.replace('containerd://', '')
  if (id === undefined) throw new Error(`the pod has no container ${name} that runs`)
  return id
}

/**
 * `kill -9` of a container's first process, from its node: inside of the container nobody can. Nodes of kind only, which
 * are containers of Docker themselves.
 */
export async function killContainer(pod: ClusterObject, name: string): Promise<void> {
  const inNode = async (...command: readonly string[]) =>
    (await exec('docker', ['exec', String(pod.spec?.nodeName), ...command])).stdout.trim()
  const template = ['--output', 'go-template', '--template', '{{.info.pid}}']
  await inNode('kill', '-9', await inNode('crictl', 'inspect', ...template, containerId(pod, name)))
}
