import type { Issue } from '../../model/result.ts'
import type { FileMesh } from '../file-mesh.ts'
import { writtenSecrets } from '../written-secrets.ts'
import { idOf } from './catalogue.ts'
import { compileIssues } from './compiled.ts'
import { experimentalFields } from './experimental.ts'
import { exposureOf } from './exposure.ts'
import { compareFindings, type Finding, findingOf } from './finding.ts'
import { danglingNames } from './names.ts'
import { reportedIssues } from './reported.ts'

/** What comes of something that is not there. While files are broken, what they would have said is not there either. */
const ABSENCES: ReadonlySet<string> = new Set([
  'backend-not-resolved',
  'certificate-not-resolved',
  'no-policy',
  'no-such-class',
  'no-such-gateway',
  'no-token-issuer',
  'no-workload',
  'route-not-attached',
  'rule-without-issuer',
  'rule-without-token',
  'selects-nothing',
  'target-not-found',
  'unknown-namespace',
  'unknown-service-account',
  'unresolved-token-issuer',
  'unused-issuer',
])

/** Everything that can be said about a mesh from its files, in the order of the files. */
export function inspect(mesh: FileMesh): readonly Finding[] {
  const { configs, reports } = mesh.translation
  const located = (found: Issue | Omit<Finding, 'id'>): Finding => {
    const location = found.location ?? (found.resource && mesh.locate(found.resource, found.path))
    return { id: idOf(found.code), ...found, ...(location && { location }) }
  }
  const later = [
    ...reportedIssues(reports),
    ...compileIssues(configs.values()),
    ...danglingNames(mesh.snapshot, mesh.translation),
    ...experimentalFields(mesh.snapshot),
    ...writtenSecrets(mesh.snapshot),
    ...[...configs.values()].flatMap((config) => exposureOf(config, mesh.snapshot)),
  ].map(located)
  const isBroken = mesh.issues.some(({ severity }) => severity === 'error')
  const told = isBroken ? later.filter(({ code }) => !ABSENCES.has(code)) : later
  return unique([...mesh.issues.map(findingOf), ...told]).toSorted(compareFindings)
}

/** The files source and translation review the same policies. */
function unique(findings: readonly Finding[]): readonly Finding[] {
  return [
    ...new Map(
      findings.map((found) => [`${found.code} ${found.resource} ${found.path} ${found.message}`, found]),
    ).values(),
  ]
}
