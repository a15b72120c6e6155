import { randomBytes } from 'node:crypto'
import type { Issue } from '../../model/result.ts'
import { type WorkloadId, workloadIdFor } from '../../model/workload-id.ts'
import type { Translation } from '../../operator/translate/translate.ts'
import { writtenSecrets } from '../written-secrets.ts'
import { LOCAL_COMMAND_ANNOTATION } from './app-manifest.ts'
import { gatewayPorts, type PublishedPorts } from './gateway-ports.ts'
import { inheritedEnvironment } from './options.ts'
import { fileNameOf, type MeshPlan, planMesh } from './plan.ts'
import type { PortBook } from './ports.ts'
import { openPostgresHome, type PostgresHome } from './postgres-home.ts'
import { type Resources, translated } from './resources.ts'
import { makeSecrets } from './secrets.ts'
import type { StateDirectory } from './state.ts'

/** Makes plans of what the files say at the moment. */
export interface Planner {
  readonly postgresHome: PostgresHome
  /** Makes the secrets that are missing, too. What did not change in the files is not changed in the plan. */
  plan(): Promise<Planned>
}

export interface Planned {
  readonly plan: MeshPlan
  /** How many secret values were made for it. */
  readonly secretsMade: number
  /** What keeps parts of it from being started, or from being started as they are written; each with its place. */
  readonly issues: readonly Issue[]
  /** What translation says of the resources; each with its place. The operator says the same. */
  readonly remarks: readonly Issue[]
}

export interface PlannerOptions {
  readonly resources: Resources
  readonly state: StateDirectory
  readonly book: PortBook
  readonly published: PublishedPorts
}

export async function createPlanner({ resources, state, book, published }: PlannerOptions): Promise<Planner> {
  const takeGatewayPort = gatewayPorts(published, book)
  const credentials = new Map<WorkloadId, string>()
  const postgresHome = await openPostgresHome(state, localWorkloads(resources))
  let translation: Translation | undefined
  const located = (found: Issue): Issue => {
    const location = found.resource === undefined ? undefined : resources.locate(found.resource, found.path)
    return location === undefined ? found : { ...found, location }
  }

  return {
    postgresHome,
    async plan() {
      const snapshot = resources.snapshot()
      translation = translated(snapshot, translation)
      const secrets = await makeSecrets(snapshot.ofKind('Secret'), state.at('secrets'))
      const plan = await planMesh({
        configs: translation.configs,
        deployments: snapshot.ofKind('Deployment').map((resource) => ({
          resource,
          directory: resources.directoryOf('Deployment', resource.metadata.namespace, resource.metadata.name),
        })),
        secretKeys: secrets.keys,
        secretFile: (secret, key) => state.at('secrets', ...secret.split('/'), key),
        mountDirectory: (workload, volume) => state.at('workloads', workload, 'mounts', volume),
        socketDirectory: postgresHome.socketDirectory,
        inheritedEnvironment: inheritedEnvironment(),
        nodePath: process.execPath,
        takePort: (purpose) => book.take(purpose),
        takeGatewayPort,
        credential(workload) {
          const known = credentials.get(workload) ?? randomBytes(32).toString('base64url')
          credentials.set(workload, known)
          return known
        },
      })
      return {
        plan,
        secretsMade: secrets.made,
        // Without the secrets, every mount would be said to be missing too.
        issues: [...writtenSecrets(snapshot), ...(secrets.issues.length > 0 ? secrets.issues : plan.issues)].map(
          located,
        ),
        remarks: [...translation.reports].flatMap(([resource, { issues }]) =>
          issues.map((found) => located({ ...found, resource })),
        ),
      }
    },
  }
}

/** Names of the workloads that are run here, as far as the Deployments can be read. */
function localWorkloads(resources: Resources): readonly string[] {
  return resources
    .snapshot()
    .ofKind('Deployment')
    .filter(({ metadata }) => metadata.annotations?.[LOCAL_COMMAND_ANNOTATION] !== undefined)
    .flatMap(({ metadata }) => {
      const id = workloadIdFor(metadata.namespace ?? 'default', metadata.name)
      return id.ok ? [fileNameOf(id.value)] : []
    })
}
