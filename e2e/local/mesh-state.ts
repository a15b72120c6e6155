import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type OperatorOptions, readOperatorOptions } from '../../operator/options.ts'
import { readSidecarOptions, type SidecarOptions } from '../../sidecar/options.ts'

/** What the state directory of a local mesh says about it. */
export interface MeshState {
  readonly directory: string
  /** The roots, PEM. */
  readonly ca: string
  readonly operator: OperatorOptions
  /** Sidecars and gateways, by workload (`namespace/name`). */
  readonly sidecars: ReadonlyMap<string, SidecarOptions>
}

export async function readMeshState(directory: string): Promise<MeshState> {
  const workloads = join(directory, 'workloads')
  const names = await readdir(workloads)
  const sidecars = await Promise.all(names.map((name) => readSidecarOptions(join(workloads, name, 'sidecar.json'))))
  return {
    directory,
    ca: await readFile(join(directory, 'ca.crt'), 'utf8'),
    operator: await readOperatorOptions(join(directory, 'run', 'operator.json')),
    sidecars: new Map(sidecars.map((options) => [options.workload, options])),
  }
}
