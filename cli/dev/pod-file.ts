import { rm } from 'node:fs/promises'
import type { Resource } from '../../model/resource.ts'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'
import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { WorkloadPlan } from './plan.ts'
import { podOf, podYaml } from './pods.ts'

/** The pod of a workload in a file that the operator watches, kept on what is really so. */
export interface PodFile {
  /** The pod as it was last written. */
  resource(): Resource
  /** The pod is ready when both of its containers are. */
  set(container: 'sidecar' | 'app', isReady: boolean): void
  update(plan: WorkloadPlan): Promise<void>
  remove(): Promise<void>
  /** Writes nothing any more. */
  close(): void
}

/**
 * Milliseconds that something must be not ready before the pod is: a sidecar that is started again is back sooner, and
 * whoever calls it tries again.
 */
const LOST_MS = 1_000

export async function createPodFile(first: WorkloadPlan, path: string, clock: Clock): Promise<PodFile> {
  const containers = { sidecar: false, app: false }
  let plan = first
  let isReady = false
  let isClosed = false
  let cancel: CancelTimer | undefined
  let work = Promise.resolve()

  const write = () => {
    work = work
      .then(() => (isClosed ? undefined : writeFileAtomic(path, podYaml(plan, isReady), 0o600)))
      // The next change tries again; until then the operator sees the pod as it was.
      .catch(() => {})
    return work
  }
  const settle = () => {
    cancel = undefined
    const next = containers.sidecar && containers.app
    if (next === isReady) return
    isReady = next
    void write()
  }
  await write()
  return {
    resource: () => podOf(plan, isReady),
    set(container, ready) {
      containers[container] = ready
      cancel?.()
      cancel = undefined
      if (containers.sidecar && containers.app) settle()
      else if (isReady) cancel = clock.setTimer(LOST_MS, settle, { keepAlive: false })
    },
    async update(next) {
      const before = podYaml(plan, isReady)
      plan = next
      if (podYaml(plan, isReady) !== before) await write()
    },
    async remove() {
      isClosed = true
      cancel?.()
      await work
      await rm(path, { force: true })
    },
    close() {
      isClosed = true
      cancel?.()
    },
  }
}
