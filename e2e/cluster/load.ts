import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { LoadRequest, LoadResult } from '../apps/load.ts'
import { containerId } from './kill-container.ts'
import type { ClusterObject, Kubectl, PodContainer } from './kubectl.ts'
import { scriptOf } from './script.ts'

/** Requests at a steady rate, from inside of a pod. */
export interface PodLoad {
  /** Ends it, and tells. */
  stop(): Promise<LoadResult>
}

export async function startPodLoad(
  { context }: Kubectl,
  { namespace, pod, container }: PodContainer,
  request: LoadRequest,
): Promise<PodLoad> {
  const where = ['-n', namespace, pod, ...(container === undefined ? [] : ['-c', container])]
  return startLoad('kubectl', ['--context', context, 'exec', '-i', ...where, '--', ...(await programOf(request))])
}

/** The same by the runtime of the pod's node (of kind): it goes on without an API server. */
export async function startLoadByNode(pod: ClusterObject, container: string, request: LoadRequest): Promise<PodLoad> {
  const id = containerId(pod, container)
  const inNode = ['exec', '-i', String(pod.spec.nodeName), 'crictl', 'exec', '-i', id]
  return startLoad('docker', [...inNode, ...(await programOf(request))])
}

async function programOf(request: LoadRequest): Promise<readonly string[]> {
  return ['node', '--input-type=module', '--eval', await scriptOf('load'), '--', JSON.stringify(request)]
}

function startLoad(command: string, args: readonly string[]): PodLoad {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  return {
    async stop() {
      child.stdin.end()
      const [out, err] = await output
      assert.ok(out.startsWith('{'), `the load was cut off: ${err}`)
      return JSON.parse(out) as LoadResult
    },
  }
}

/** Holds that everything was answered as it should be, and says so. */
export function assertNoneLost({ sent, ok, lost, lostCount, p99, max }: LoadResult, answer = '2xx'): string {
  const told = lost.map(({ timeMs, why }) => `${new Date(timeMs).toISOString()} ${why}`).join('\n')
  assert.equal(lostCount, 0, `${lostCount} of ${sent} requests were lost:\n${told}`)
  assert.ok(ok > 0, 'the load was answered')
  return `${sent} requests, ${ok} answered ${answer}, 0 lost; p99 ${p99} ms, longest ${max} ms`
}
