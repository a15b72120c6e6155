import type { RotationStatus } from '../../operator/identity/rotation/root-rotation.ts'
import type { KubernetesClient } from '../../operator/kubernetes/client.ts'
import { isAlreadyExists, isConflict, isNotFound, KubernetesError } from '../../operator/kubernetes/errors.ts'
import { resourcePath } from '../../operator/kubernetes/path.ts'
import { MESH_CONFIG_NAME } from '../../operator/resources/mesh-config.ts'
import { CommandError, EXIT } from '../exit-code.ts'

/** What is read of the one MeshConfig that counts. */
interface StoredMeshConfig {
  readonly metadata: { readonly resourceVersion?: string }
  readonly spec?: { readonly certificates?: { readonly rootGeneration?: number } }
  readonly status?: { readonly certificateAuthority?: Partial<RotationStatus> }
}

const API_VERSION = 'hauberk.dev/v1alpha1'
const COLLECTION = resourcePath({ apiVersion: API_VERSION, plural: 'meshconfigs' })
const PATH = resourcePath({ apiVersion: API_VERSION, plural: 'meshconfigs', name: MESH_CONFIG_NAME })
const FIELD_MANAGER = 'hauberk-cli'

/** As `status` of MeshConfig has it; undefined where nobody has written any. Ends the command where it may not be read. */
export async function readAuthority(client: KubernetesClient): Promise<RotationStatus | undefined> {
  const written = (await readMeshConfig(client))?.status?.certificateAuthority
  if (written?.phase === undefined) return undefined
  const { phase, roots = [], waitingFor = [], waiting = waitingFor.length, problem } = written
  return { phase, roots, waitingFor, waiting, ...(problem !== undefined && { problem }) }
}

export interface Raised {
  readonly from: number
  readonly to: number
  /** Fingerprint of the root that signs now; undefined where nobody says. */
  readonly signing: string | undefined
}

/** Somebody else may write at the same moment. */
const MAX_ATTEMPTS = 3

/** Asks for another root. Ends the command while one is being replaced already: two steps at once would be one too many. */
export async function raiseRootGeneration(client: KubernetesClient): Promise<Raised> {
  for (let attempt = 1; ; attempt++) {
    const stored = await readMeshConfig(client)
    const { phase = 'stable', roots = [] } = stored?.status?.certificateAuthority ?? {}
    if (phase !== 'stable') {
      const message = `a root is being replaced already (${phase}): hauberk ca status says who is waited for`
      throw new CommandError(EXIT.failure, message)
    }
    const from = stored?.spec?.certificates?.rootGeneration ?? 1
    const spec = { certificates: { rootGeneration: from + 1 } }
    try {
      if (stored === undefined) await createMeshConfig(client, spec)
      else await patchMeshConfig(client, spec, stored.metadata.resourceVersion)
      return { from, to: from + 1, signing: roots.find(({ use }) => use === 'Signing')?.fingerprint }
    } catch (error) {
      const isBeaten = isConflict(error) || isAlreadyExists(error)
      if (isBeaten && attempt < MAX_ATTEMPTS) continue
      throw endedBy(error)
    }
  }
}

function createMeshConfig(client: KubernetesClient, spec: unknown): Promise<unknown> {
  const body = { apiVersion: API_VERSION, kind: 'MeshConfig', metadata: { name: MESH_CONFIG_NAME }, spec }
  return client.request({ method: 'POST', path: COLLECTION, query: { fieldManager: FIELD_MANAGER }, body })
}

/** Of what was read and of no other: raised twice at once, it would rise by one only. */
function patchMeshConfig(
  client: KubernetesClient,
  spec: unknown,
  resourceVersion: string | undefined,
): Promise<unknown> {
  return client.request({
    method: 'PATCH',
    path: PATH,
    query: { fieldManager: FIELD_MANAGER },
    contentType: 'application/merge-patch+json',
    body: { metadata: { resourceVersion }, spec },
  })
}

async function readMeshConfig(client: KubernetesClient): Promise<StoredMeshConfig | undefined> {
  try {
    return await client.request<StoredMeshConfig>({ path: PATH })
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw endedBy(error)
  }
}

function endedBy(error: unknown): unknown {
  if (!(error instanceof KubernetesError)) return error
  return new CommandError(EXIT.failure, `MeshConfig ${MESH_CONFIG_NAME}: ${error.message}`, { cause: error })
}
