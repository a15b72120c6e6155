import type { RotationStep } from '../identity/rotation/advance.ts'
import type { EventFields, ObjectReference } from '../kubernetes/events.ts'
import { MESH_CONFIG_NAME } from '../resources/mesh-config.ts'
import type { Snapshot } from '../store/snapshot.ts'

const NOTES: Readonly<Record<RotationStep['reason'], string>> = {
  RootDistributing: 'Everybody is told to trust another root.',
  RootSigning: 'Everybody trusts the next root. It signs now.',
  RootRetiring: 'Everybody has a certificate of the new root. The old one is taken out.',
  RootRotated: 'Nobody trusts the old root any more.',
  RootDistrusted: 'A root is distrusted and taken out at once.',
}

/** What a step of the replacement of a root is told as, about MeshConfig. */
export function stepEvent({ reason, root }: RotationStep, snapshot: Snapshot): EventFields {
  const note = `${NOTES[reason]} Root ${root.fingerprint.slice(0, 16)} (${root.name}).`
  return { regarding: meshConfigIn(snapshot), type: 'Normal', reason, note }
}

/** Why the root that is wanted cannot be had. */
export function problemEvent(problem: string, snapshot: Snapshot): EventFields {
  return { regarding: meshConfigIn(snapshot), type: 'Warning', reason: 'RootNotUsable', note: problem }
}

function meshConfigIn(snapshot: Snapshot): ObjectReference {
  const uid = snapshot.get('MeshConfig', undefined, MESH_CONFIG_NAME)?.metadata.uid
  const name = { apiVersion: 'hauberk.dev/v1alpha1', kind: 'MeshConfig', name: MESH_CONFIG_NAME }
  return uid === undefined ? name : { ...name, uid }
}
