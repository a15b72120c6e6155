import type { ListenerCertificate } from '../../contract/workload-config.ts'
import type { Resource } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import { CERTIFICATE_OPTION, type Listener, type SecretReference } from '../resources/gateway.ts'
import { secretText, UNREADABLE_SECRET } from '../resources/secret.ts'
import { secretGrant } from '../resources/secret-grant.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isGranted } from './grants.ts'
import { type ConditionFound, RESOLVED, refused } from './report.ts'

/** Why TLS cannot be served with a certificate chain and a private key, both PEM; undefined if it can. */
export type JudgeKeyPair = (certificate: string, privateKey: string) => string | undefined

/** Where the certificates of a listener are looked for. */
export interface CertificateContext {
  /** Of the Gateway. */
  readonly namespace: string
  /** Of the listener; empty: every host. */
  readonly hostname: string
  /** Of the listener's `tls`. */
  readonly path: string
  readonly snapshot: Snapshot
  /** Absent where nobody can tell, in a browser. */
  readonly judgeKeyPair: JudgeKeyPair | undefined
  readonly issues: Issue[]
}

const GATEWAY_API = 'gateway.networking.k8s.io'

/** The certificates that a listener names and that can be used, and whether that is all of them. */
export function certificatesOf(
  { protocol, tls = {} }: Listener,
  context: CertificateContext,
): { readonly certificates: readonly ListenerCertificate[]; readonly resolvedRefs: ConditionFound } {
  const { hostname, path, issues } = context
  let resolvedRefs = RESOLVED
  const refuse = ({ reason, at, message, fix }: Refusal) => {
    issues.push(issue('certificate-not-resolved', at, message, fix))
    if (resolvedRefs === RESOLVED) resolvedRefs = refused(reason, message)
  }
  const certificates: ListenerCertificate[] = []
  const option = tls.options?.[CERTIFICATE_OPTION]
  if (option === 'mesh') {
    if (hostname !== '') certificates.push({ source: 'mesh', hostname })
    else {
      refuse({
        reason: 'InvalidCertificateRef',
        at: `${path}.options`,
        message: 'a certificate of the mesh is for a hostname, and this listener has none',
        fix: 'give the listener a hostname',
      })
    }
  } else if (option !== undefined) {
    const message = `${option} is not a source of certificates`
    refuse({ reason: 'InvalidCertificateRef', at: `${path}.options`, message, fix: "write 'mesh'" })
  }
  for (const [i, ref] of (tls.certificateRefs ?? []).entries()) {
    const found = resolveCertificate(ref, `${path}.certificateRefs[${i}]`, context)
    if ('reason' in found) refuse(found)
    else certificates.push(found)
  }
  if (certificates.length === 0 && resolvedRefs === RESOLVED) {
    refuse({
      reason: 'InvalidCertificateRef',
      at: path,
      message: `${protocol} needs a certificate`,
      fix: `name a Secret in certificateRefs, or write options: {${CERTIFICATE_OPTION}: mesh}`,
    })
  }
  return { certificates, resolvedRefs }
}

interface Refusal {
  readonly reason: string
  readonly at: string
  readonly message: string
  readonly fix?: string
}

function resolveCertificate(
  ref: SecretReference,
  at: string,
  { namespace, snapshot, judgeKeyPair }: CertificateContext,
): ListenerCertificate | Refusal {
  const { group = '', kind = 'Secret', name } = ref
  const to = { group, kind, namespace: ref.namespace ?? namespace, name }
  const secret = `Secret ${to.namespace}/${name}`
  const invalid = (message: string, fix?: string): Refusal => ({
    reason: 'InvalidCertificateRef',
    at,
    message,
    ...(fix !== undefined && { fix }),
  })
  if (group !== '' || kind !== 'Secret') return invalid(`${kind} is not supported`, 'refer to a Secret')
  if (!isGranted(snapshot, { from: { group: GATEWAY_API, kind: 'Gateway', namespace }, to })) {
    const message = `no ReferenceGrant of ${to.namespace} permits it`
    return { reason: 'RefNotPermitted', at, message, fix: `grant it in ${to.namespace}` }
  }
  if (snapshot.get(UNREADABLE_SECRET, to.namespace, name) !== undefined) {
    return { reason: 'RefNotPermitted', at, ...secretGrant(to.namespace, name) }
  }
  const found = snapshot.get('Secret', to.namespace, name)
  if (found === undefined) return invalid(`there is no ${secret}`)
  const certificate = secretText(found, 'tls.crt')
  const privateKey = secretText(found, 'tls.key')
  if (!certificate?.includes('-----BEGIN CERTIFICATE-----') || !privateKey?.includes('PRIVATE KEY-----')) {
    return invalid(`${secret} has no PEM in tls.crt and tls.key`)
  }
  const wrong = judgeKeyPair && judged(found, certificate, privateKey, judgeKeyPair)
  if (wrong !== undefined) return invalid(`${secret}: ${wrong}`)
  return { source: 'secret', name: `${to.namespace}/${name}`, certificate, privateKey }
}

/** What was said of a Secret, weakly: a Secret that changes is another object. */
const judgements = new WeakMap<JudgeKeyPair, WeakMap<Resource, string | null>>()

function judged(secret: Resource, certificate: string, privateKey: string, judge: JudgeKeyPair): string | undefined {
  const known = judgements.get(judge) ?? new WeakMap<Resource, string | null>()
  judgements.set(judge, known)
  let judgement = known.get(secret)
  if (judgement === undefined) {
    judgement = judge(certificate, privateKey) ?? null
    known.set(secret, judgement)
  }
  return judgement ?? undefined
}
