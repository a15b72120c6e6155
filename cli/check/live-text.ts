import type { ReportedResource, ReportedWorkload } from '../../operator/status/report.ts'
import { formatRemaining } from '../output/remaining.ts'
import type { Paint } from '../paint.ts'
import { type Column, formatTable } from '../table.ts'
import type { LiveMesh } from './live.ts'

/** A mesh that runs at a glance: what is enforced by whom, and who shows which certificate. */
export function formatLive({ status, operatorSilent, proxies }: LiveMesh, paint: Paint, nowMs: number): string {
  const certificate: Column<{ readonly workload: string }> = {
    title: 'CERTIFICATE',
    cell({ workload }) {
      const proxy = proxies.find((each) => each.workload === workload)
      const found = proxy?.certificates.find(({ kind }) => kind === 'svid')
      return found === undefined ? paint('red', 'none') : formatRemaining(found.notAfterMs, nowMs)
    },
  }
  const name: Column<{ readonly workload: string }> = { title: 'WORKLOAD', cell: ({ workload }) => workload }
  // Without the operator nobody knows what should be; what is can be told.
  if (operatorSilent !== undefined) return formatTable(proxies, [name, certificate])
  const resources = status.resources.filter(({ status: { conditions } }) => conditions.length > 0)
  const workloads: readonly Column<ReportedWorkload>[] = [
    name,
    { title: 'VERSION', cell: ({ version }) => version.slice(0, 12) },
    { title: 'OBEYED BY', cell: obeyedBy },
    certificate,
  ]
  const issuers: readonly Column<(typeof status.issuers)[number]>[] = [
    { title: 'TOKEN ISSUER', cell: (issuer) => issuer.name },
    { title: 'KEYS', cell: ({ keys }) => String(keys) },
    { title: 'FETCHED', cell: ({ fetchedAt }) => (fetchedAt === undefined ? 'never' : timeOf(fetchedAt)) },
  ]
  return [
    formatTable(resources, resourceColumns(paint)),
    formatTable(status.workloads, workloads),
    ...(status.issuers.length === 0 ? [] : [formatTable(status.issuers, issuers)]),
  ].join('\n')
}

function resourceColumns(paint: Paint): readonly Column<ReportedResource>[] {
  const condition = (type: string): Column<ReportedResource> => ({
    title: type.toUpperCase(),
    cell({ status }) {
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

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
