import { PORTS, type PodSidecar } from '../../contract/pod.ts'
import { parseCidr } from '../../model/match/cidr.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { InjectionContext } from './context.ts'
import { exceptionFor } from './judge-pod.ts'

/** Annotations of a pod: what is not to be captured, comma-separated. */
export const EXCLUDE_ANNOTATIONS = {
  inboundPorts: 'hauberk.dev/exclude-inbound-ports',
  outboundPorts: 'hauberk.dev/exclude-outbound-ports',
  outboundCidrs: 'hauberk.dev/exclude-outbound-cidrs',
} as const

type Exclude = PodSidecar['exclude']

/** Entries of one annotation at most. */
const MAX_ENTRIES = 256

const OWN_PORTS: ReadonlySet<number> = new Set(Object.values(PORTS))

/** What a pod's annotations keep from being captured, which somebody has to allow (T08). */
export function readExclusions(
  annotations: Readonly<Record<string, string>>,
  { namespace, optOuts }: InjectionContext,
): { readonly exclude: Exclude; readonly issues: readonly Issue[] } {
  const issues: Issue[] = []
  const isAllowed = optOuts.allowing('ExcludePorts', namespace.name) !== undefined
  const entriesOf = (field: keyof Exclude): readonly string[] => {
    const annotation = EXCLUDE_ANNOTATIONS[field]
    const entries = (annotations[annotation] ?? '')
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '')
    if (entries.length === 0) return []
    const path = annotationPath(annotation)
    if (!isAllowed) {
      const message = 'keeps traffic from the sidecar, which nobody has allowed here'
      issues.push(
        issue('opt-out-refused', path, message, `leave it out, or ${exceptionFor('ExcludePorts', namespace.name)}`),
      )
    } else if (entries.length > MAX_ENTRIES) {
      issues.push(issue('malformed-annotation', path, `has more than ${MAX_ENTRIES} entries`))
    }
    return entries.slice(0, MAX_ENTRIES)
  }
  const portsOf = (field: 'inboundPorts' | 'outboundPorts'): number[] => {
    const path = annotationPath(EXCLUDE_ANNOTATIONS[field])
    return entriesOf(field).flatMap((entry) => {
      const port = /^[0-9]{1,5}$/.test(entry) ? Number(entry) : 0
      if (port < 1 || port > 65_535) {
        issues.push(issue('malformed-annotation', path, `'${entry}' is no port`, 'write numbers: 9100,9200'))
        return []
      }
      if (OWN_PORTS.has(port)) {
        issues.push(issue('reserved-port', path, `${port} is a port of the sidecar itself`, 'take it out'))
        return []
      }
      return [port]
    })
  }
  const cidrPath = annotationPath(EXCLUDE_ANNOTATIONS.outboundCidrs)
  const exclude = {
    inboundPorts: sortedPorts(portsOf('inboundPorts')),
    outboundPorts: sortedPorts(portsOf('outboundPorts')),
    outboundCidrs: [
      ...new Set(
        entriesOf('outboundCidrs').filter((entry) => {
          const parsed = parseCidr(entry)
          if (!parsed.ok) {
            issues.push(
              ...parsed.issues.map(({ message, fix = 'write blocks: 10.0.0.0/8' }) => {
                return issue('malformed-annotation', cidrPath, `'${entry}' ${message}`, fix)
              }),
            )
          }
          return parsed.ok
        }),
      ),
    ].sort(),
  }
  return { exclude, issues }
}

export function annotationPath(annotation: string): string {
  return `metadata.annotations["${annotation}"]`
}

function sortedPorts(ports: readonly number[]): number[] {
  return [...new Set(ports)].sort((a, b) => a - b)
}
