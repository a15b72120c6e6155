import type { ReportedResource, ReportedWorkload } from '../../operator/status/report.ts'
import { formatRemaining } from '../output/remaining.ts'
import type { Paint } from '../paint.ts'
import { type Column, formatTable } from '../table.ts'
import type { LiveMesh } from './live.ts'

/** A mesh that runs at a glance: what is enforced by whom, and who shows which certificate. */
export function formatLive({ status, proxies }: LiveMesh, paint: Paint, nowMs: number): string {
  const resources = status.resources.filter(({ status: { conditions } }) => conditions.length > 0)
  const certificateOf = (workload: string) =>
    proxies.find((proxy) => proxy.workload === workload)?.certificates.find(({ kind }) => kind === 'svid')
  const workloads: readonly Column<ReportedWorkload>[] = [
    { title: 'WORKLOAD', cell: ({ workload }) => workload },
    { title: 'VERSION', cell: ({ version }) => version.slice(0, 12) },
    { title: 'OBEYED BY', cell: obeyedBy },
    {
      title: 'CERTIFICATE',
      cell({ workload }) {
        const certificate = certificateOf(workload)
        return certificate === undefined ? paint('red', 'none') : formatRemaining(certificate.notAfterMs, nowMs)
      },
    },
  ]
  return [
    formatTable(resources, resourceColumns(paint)),
    formatTable(status.workloads, workloads),
    ...(status.issuers.length === 0
      ? []
      : [
          formatTable(status.issuers, [
            { title: 'TOKEN ISSUER', cell: ({ name }) => name },
            { title: 'KEYS', cell: ({ keys }) => String(keys) },
            {
              title: 'FETCHED',
              cell: ({ fetchedAt }) => (fetchedAt === undefined ? 'never' : new Date(fetchedAt).toISOString()),
            },
          ]),
        ]),
  ].join('\n')
}

function resourceColumns(paint: Paint): readonly Column<ReportedResource>[] {
  const condition = (type: string) => ({
    title: type.toUpperCase(),
    cell({ status }: ReportedResource) {
      const found = status.conditions.find((each) => each.type === type)
      if (found === undefined) return ''
      return paint(found.status === 'True' ? 'green' : found.status === 'False' ? 'red' : 'yellow', found.status)
    },
  })
  return [
    { title: 'RESOURCE', cell: ({ kind, namespace, name }) => [kind, namespace, name].filter(Boolean).join('/') },
    condition('Accepted'),
    condition('ResolvedRefs'),
    condition('Programmed'),
    { title: 'ACKNOWLEDGED', cell: ({ status }) => status.workloads?.summary ?? '' },
  ]
}

/** `1/1`: sidecars that obey the newest configuration, of those that are connected. */
function obeyedBy({ version, sidecars }: ReportedWorkload): string {
  const obeying = sidecars.filter(({ acknowledged }) => acknowledged === version).length
  return `${obeying}/${sidecars.length}`
}
