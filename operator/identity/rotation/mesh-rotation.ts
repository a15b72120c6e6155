import type { WorkloadId } from '../../../model/workload-id.ts'
import type { Metrics } from '../../../runtime/metrics.ts'
import type { Acknowledgements } from '../../push/acknowledgements.ts'
import { type Pod, readPod } from '../../resources/pod.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Store } from '../../store/store.ts'
import { meshSettingsOf } from '../../translate/mesh-settings.ts'
import type { Translation } from '../../translate/translate.ts'
import type { Member } from './advance.ts'
import { createBundleHistory } from './bundle-history.ts'
import { membersOf } from './members.ts'
import { createRootRotation, type RootRotation, type RootRotationOptions, type WantedRoots } from './root-rotation.ts'

export interface MeshRotationOptions extends Omit<RootRotationOptions, 'wanted' | 'members' | 'store'> {
  readonly kept: RootRotationOptions['store']
  /** Synced. */
  readonly store: Store
  /** Undefined: nothing was translated yet, and nobody is known. */
  readonly translation: () => Translation | undefined
  /** What the sidecars of every operator said. */
  readonly acknowledgements: Acknowledgements
  /**
   * Everybody who is no sidecar: every operator, this one among them (of one that runs and is not connected nothing is known), and
   * places that say whom to trust.
   */
  readonly operators: () => readonly Member[]
  readonly metrics: Metrics
}

/** The rotation of a mesh's roots, fed with what this operator knows of its sidecars. */
export interface MeshRotation extends RootRotation {
  /** What sidecars are to obey from now on. Call it with each translation, at every operator. */
  record(translation: Pick<Translation, 'configs'>): void
}

export function createMeshRotation(options: MeshRotationOptions): MeshRotation {
  const { kept, store, translation, acknowledgements, operators, metrics, ...rest } = options
  const history = createBundleHistory()
  const rotation = createRootRotation({
    ...rest,
    store: kept,
    wanted: () => wantedRootsOf(store.snapshot()),
    members() {
      const now = translation()
      const snapshot = store.snapshot()
      if (now === undefined) return operators()
      const sidecars = membersOf({
        translation: now,
        acknowledgements,
        history,
        isExpected: (pod) => isRunning(snapshot, pod),
        gatewayPods: (gateway) => podsOfGateway(snapshot, gateway),
      })
      return [...operators(), ...sidecars]
    },
  })
  countRotation(rotation, metrics)
  store.onChange(rotation.touch)
  acknowledgements.onChange(rotation.touch)
  return { ...rotation, record: ({ configs }) => history.record(configs) }
}

/** What MeshConfig wants of the roots. */
export function wantedRootsOf(snapshot: Snapshot): WantedRoots {
  const { rootGeneration, distrustedRoots } = meshSettingsOf(snapshot)
  return { rootGeneration, distrustedRoots }
}

/** A gateway and its service account have one name, and nobody else has that. */
function podsOfGateway(snapshot: Snapshot, gateway: WorkloadId): readonly string[] {
  const [namespace = '', name] = gateway.split('/')
  return snapshot.inNamespace('Pod', namespace).flatMap((resource) => {
    const read = readPod(resource as Pod & typeof resource)
    return read.ok && read.value.spec.serviceAccountName === name ? [`${namespace}/${resource.metadata.name}`] : []
  })
}

/** Whether a pod (`namespace/name`) runs and is not about to go. The local mesh's pods have no phase: they run. */
function isRunning(snapshot: Snapshot, pod: string): boolean {
  const [namespace, name = ''] = pod.split('/')
  const resource = snapshot.get('Pod', namespace, name)
  if (resource === undefined || resource.metadata.deletionTimestamp !== undefined) return false
  const read = readPod(resource as Pod & typeof resource)
  const { phase = 'Running' } = read.ok ? (read.value.status ?? {}) : {}
  return phase === 'Running'
}

function countRotation(rotation: RootRotation, metrics: Metrics): void {
  const ends = metrics.gauge({
    name: 'hauberk_ca_root_not_after_seconds',
    help: 'End of each root, in seconds since 1970.',
    labels: ['fingerprint', 'use'],
  })
  const phases = metrics.gauge({
    name: 'hauberk_ca_rotation_phase',
    help: '1; the label is how far the replacement of a root has come.',
    labels: ['phase'],
  })
  const waiting = metrics.gauge({
    name: 'hauberk_ca_rotation_waiting',
    help: 'Sidecars and operators that the next step of the replacement waits for.',
  })
  let forget = () => {}
  rotation.onChange(() => {
    forget()
    const { phase, roots, waiting: count } = rotation.status()
    const series = roots.map(({ fingerprint, use }) => ({ fingerprint, use }))
    for (const [i, { notAfter }] of roots.entries()) ends.handle(series[i]!).set(Date.parse(notAfter) / 1_000)
    phases.handle({ phase }).set(1)
    waiting.handle().set(count)
    forget = () => {
      for (const labels of series) ends.remove(labels)
      phases.remove({ phase })
    }
  })
}
