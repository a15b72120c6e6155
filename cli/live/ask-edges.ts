import * as v from 'valibot'
import { read } from '../../contract/codec.ts'
import { SECURITIES } from '../../contract/edges.ts'
import { type EdgesReport, mergeReports } from '../../operator/live/mesh-edges.ts'
import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { type ChosenMesh, chooseMesh, type MeshFlags } from '../choose-mesh.ts'
import { askOperator, parseAsked } from '../cluster/ask.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Pod } from '../cluster/objects.ts'
import { operatorPodsOf } from '../cluster/operator-pods.ts'
import { elsewhere, seenOrEnd } from '../cluster/pods.ts'
import { readAll } from '../cluster/read.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import { askAdmin, findRunningMesh } from '../running-mesh.ts'

/** What can be asked for edges again and again. */
export interface EdgesSource {
  /** Ends the command where nobody can be asked. */
  ask(): Promise<EdgesReport>
  /** For whoever sees nothing: where else to look. Empty where there is nowhere else. */
  readonly elsewhere: string
  close(): void
}

/** The mesh that the flags choose. */
export async function openEdges(flags: MeshFlags): Promise<EdgesSource> {
  const mesh: ChosenMesh = await chooseMesh(flags)
  if (mesh.kind === 'local') {
    const { state } = mesh
    return { ask: () => askLocal(state), elsewhere: '', close() {} }
  }
  const { cluster } = mesh
  return { ask: () => askCluster(cluster), elsewhere: elsewhere(cluster.namespace), close: () => cluster.close() }
}

const end = v.object({ name: v.string(), identity: v.exactOptional(v.string()) })

/** What an operator tells, which may be of another release. */
const WireReport = v.object({
  edges: v.array(
    v.object({
      from: end,
      to: end,
      security: v.picklist(SECURITIES),
      requests: v.number(),
      denied: v.number(),
      failed: v.number(),
      connections: v.number(),
      open: v.number(),
      latencies: v.array(v.strictTuple([v.number(), v.number()])),
      p50Ms: v.exactOptional(v.number()),
      p99Ms: v.exactOptional(v.number()),
    }),
  ),
  omitted: v.number(),
  told: v.number(),
  silent: v.number(),
  unable: v.number(),
  notAsked: v.number(),
})

async function askLocal(state: string): Promise<EdgesReport> {
  const { operator } = await findRunningMesh(state)
  const answer = await askAdmin('the operator', operator.admin, '/edges')
  if (!answer.ok) throw new CommandError(EXIT.failure, `the operator cannot be asked: it answers ${answer.status}`)
  const report = read(WireReport, answer.body)
  if (!report.ok) throw new CommandError(EXIT.failure, 'the operator is of another release: what it says is no edges')
  return report.value
}

/** Each operator knows of the sidecars that are connected to it. */
async function askCluster(cluster: Cluster): Promise<EdgesReport> {
  const place = { apiVersion: 'v1', plural: 'pods', kind: 'Pod', namespace: SYSTEM_NAMESPACE }
  const pods = seenOrEnd(await readAll<Pod>(cluster.client, place), `the pods of ${SYSTEM_NAMESPACE}`)
  const operators = operatorPodsOf(pods)
  if (operators.length === 0) throw new CommandError(EXIT.failure, 'no operator runs; hauberk check tells more')
  const { namespace } = cluster
  const path = namespace === undefined ? '/edges' : `/edges?namespace=${encodeURIComponent(namespace)}`
  const reports = await Promise.all(
    operators.map(async ({ metadata: { name } }) => {
      const answer = parseAsked<unknown>(await askOperator(cluster, name, path))
      if (!answer.ok) throw new CommandError(EXIT.failure, `operator ${name} cannot be asked: ${answer.why}`)
      const report = read(WireReport, answer.value)
      if (!report.ok) throw new CommandError(EXIT.failure, `operator ${name} is of another release`)
      return report.value
    }),
  )
  return mergeReports(reports)
}
