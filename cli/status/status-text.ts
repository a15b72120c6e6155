import type { ReportedResource, ReportedWorkload, StatusReport } from '../../operator/status/report.ts'
import type { Paint } from '../paint.ts'
import { type Column, formatTable } from '../table.ts'

/** Policies and routes with their conditions, workloads with who obeys, and the keys of token issuers. */
export function formatStatus({ resources, workloads, issuers }: StatusReport, paint: Paint): string {
  const told = resources.flatMap(toldOf).filter(({ status: { conditions } }) => conditions.length > 0)
  const tables = [
    formatTable(told, resourceColumns(paint)),
    formatTable(workloads, workloadColumns(paint)),
    ...(issuers.length === 0 ? [] : [formatTable(issuers, ISSUER_COLUMNS)]),
  ]
  return tables.join('\n')
}

/** A route has no conditions but those at its parents: a line for each. */
function toldOf(resource: ReportedResource): readonly ReportedResource[] {
  const { name, status, parents = [] } = resource
  if (parents.length === 0) return [resource]
  return parents.map(({ parentRef, conditions }) => ({
    ...resource,
    name: parents.length === 1 ? name : `${name} at ${parentRef.kind}/${parentRef.name}`,
    status: { ...status, conditions },
  }))
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
    { title: 'DRY RUN', cell: ({ status }) => dryRunOf(status.dryRun) },
    { title: 'MESSAGE', cell: messageOf },
  ]
}

function dryRunOf(dryRun: ReportedResource['status']['dryRun']): string {
  return dryRun === undefined ? '' : `${dryRun.wouldDeny} refused`
}

const MAX_MESSAGE = 100

/** Of the first condition that does not hold. */
function messageOf({ status }: ReportedResource): string {
  const found = status.conditions.find((each) => each.status !== 'True')
  if (found === undefined) return ''
  const [line = ''] = `${found.reason}: ${found.message}`.split('\n')
  return line.length > MAX_MESSAGE ? `${line.slice(0, MAX_MESSAGE - 1)}…` : line
}

function workloadColumns(paint: Paint): readonly Column<ReportedWorkload>[] {
  return [
    { title: 'WORKLOAD', cell: ({ workload }) => workload },
    { title: 'ROLE', cell: ({ role }) => role },
    {
      title: 'OBEYED BY',
      cell({ version, sidecars }) {
        const obeying = sidecars.filter(({ acknowledged }) => acknowledged === version).length
        const isWhole = obeying === sidecars.length && obeying > 0
        return paint(isWhole ? 'green' : 'yellow', `${obeying}/${sidecars.length}`)
      },
    },
    { title: 'VERSION', cell: ({ version }) => version.slice(0, 12) },
    { title: 'RELEASE', cell: ({ sidecars }) => [...new Set(sidecars.map(({ release }) => release))].join(', ') },
    { title: 'IDENTITY', cell: ({ spiffeId }) => spiffeId },
  ]
}

const ISSUER_COLUMNS: readonly Column<StatusReport['issuers'][number]>[] = [
  { title: 'TOKEN ISSUER', cell: ({ name }) => name },
  { title: 'KEYS', cell: ({ keys }) => String(keys) },
  {
    title: 'FETCHED',
    cell: ({ fetchedAt }) =>
      fetchedAt === undefined ? 'never' : new Date(fetchedAt).toISOString().replace(/\.\d+Z$/, 'Z'),
  },
  { title: 'FAILURE', cell: ({ failure = '' }) => failure },
]
