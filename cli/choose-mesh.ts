import type { Command } from 'commander'
import { type Cluster, findCluster, openCluster } from './cluster/cluster.ts'
import { addNamespaceOptions, type ClusterFlags, isClusterAsked } from './cluster/flags.ts'
import { readMeshFile } from './dev/mesh-file.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { DEFAULT_STATE } from './running-mesh.ts'

/** How a command line says which of the meshes that run it is about. */
export interface MeshFlags extends ClusterFlags {
  readonly local?: true
  readonly state?: string
}

/** Adds the options of both kinds of mesh. */
export function addMeshOptions(command: Command, namespaceDefault?: string): Command {
  return addNamespaceOptions(
    command
      .option('--local', 'the mesh that runs on this machine')
      .option('--state <directory>', `the state of the mesh that runs on this machine (default: ${DEFAULT_STATE})`),
    namespaceDefault,
  )
}

/** For the help of each command that has these options. */
export const WHICH_MESH = `Which mesh: --local or --state say the one of this machine; --context, --kubeconfig, -n and -A say a cluster. Without any
of them it is the mesh of this machine where one runs in ${DEFAULT_STATE} of this directory, else the cluster of the kubeconfig.`

export type ChosenMesh =
  | { readonly kind: 'local'; readonly state: string }
  | { readonly kind: 'cluster'; readonly cluster: Cluster }

/** The mesh that a command is about, by the rule of {@link WHICH_MESH}; undefined where nothing is said and there is none. */
export async function findMesh(flags: MeshFlags): Promise<ChosenMesh | undefined> {
  const isLocalAsked = flags.local === true || flags.state !== undefined
  const state = flags.state ?? DEFAULT_STATE
  if (isClusterAsked(flags)) {
    if (isLocalAsked)
      throw new CommandError(EXIT.usage, 'either the mesh of this machine (--local, --state) or a cluster')
    return { kind: 'cluster', cluster: await openCluster(flags) }
  }
  if (isLocalAsked || (await readMeshFile(state)) !== undefined) return { kind: 'local', state }
  const cluster = await findCluster(flags)
  return cluster && { kind: 'cluster', cluster }
}

/** The same. Ends the command where there is none. */
export async function chooseMesh(flags: MeshFlags): Promise<ChosenMesh> {
  const found = await findMesh(flags)
  if (found !== undefined) return found
  const message = `no mesh runs in ${DEFAULT_STATE}, and there is no kubeconfig: start one with hauberk dev, or name --state or --kubeconfig`
  throw new CommandError(EXIT.failure, message)
}
