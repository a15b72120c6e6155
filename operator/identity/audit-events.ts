import type { AuditAction, AuditEvent } from '../audit/audit.ts'
import type { Caller } from './caller.ts'
import type { LeafRequest } from './leaf-certificate.ts'
import type { RotationStep } from './rotation/advance.ts'

/** A certificate was signed: for whom, and by what they proved who they are. */
export function certificateIssued(
  leaf: LeafRequest,
  { spiffeId, workload, pod, provenBy }: Caller,
  signed: Signed,
): AuditEvent {
  return {
    action: 'certificate-issued',
    fields: {
      'client.spiffe_id': spiffeId,
      'hauberk.workload': workload,
      'hauberk.pod.name': pod && `${pod.namespace}/${pod.name}`,
      'hauberk.pod.uid': pod?.uid,
      'hauberk.proven_by': provenBy,
      ...fieldsOf(leaf, signed),
    },
  }
}

/** A certificate that an operator gave itself, or keeps in a Secret for somebody else. */
export function ownCertificateIssued(leaf: LeafRequest, { serial, notAfterMs }: Signed): AuditEvent {
  return {
    action: 'certificate-issued',
    fields: { 'hauberk.proven_by': 'operator', ...fieldsOf(leaf, { serial, notAfterMs }) },
  }
}

interface Signed {
  readonly serial: string
  readonly notAfterMs: number
}

function fieldsOf(leaf: LeafRequest, { serial, notAfterMs }: Signed) {
  return {
    'hauberk.profile': leaf.profile,
    'x509.alternative_names': leaf.profile === 'svid' ? [leaf.spiffeId] : leaf.dnsNames.map(String),
    'x509.serial_number': serial,
    'x509.not_after': new Date(notAfterMs).toISOString(),
  }
}

/** A step of the replacement of a root. */
export function rootStep({ reason, root }: RotationStep): AuditEvent {
  return {
    action: ROOT_ACTIONS[reason],
    fields: { 'hauberk.root.fingerprint': root.fingerprint, 'hauberk.root.name': root.name },
  }
}

const ROOT_ACTIONS: Readonly<Record<RotationStep['reason'], AuditAction>> = {
  RootDistributing: 'root-distributing',
  RootSigning: 'root-signing',
  RootRetiring: 'root-retiring',
  RootRotated: 'root-rotated',
  RootDistrusted: 'root-distrusted',
}
