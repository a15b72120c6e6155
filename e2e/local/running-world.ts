import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMeshFile } from '../../cli/dev/mesh-file.ts'
import { isRunning, type ProcessMark } from '../../cli/dev/process-tree.ts'
import { until } from '../world/until.ts'
import { type LocalWorld, openLocalWorld } from './local-world.ts'
import { type MeshState, readMeshState } from './mesh-state.ts'

/** Milliseconds that a mesh has to become ready, if it has only just been started. */
const READY_MS = 60_000

/** One path of each route: what is not ready is answered by the gateway, in the place of a service. */
const PATHS = ['/', '/auth/jwks', '/api/catalog/products', '/api/orders/', '/api/reviews/']

/** The mesh that `hauberk dev` runs in a state directory, once it is ready; undefined when none does. */
export async function runningWorld(directory: string): Promise<LocalWorld | undefined> {
  const holder = await readHolder(join(directory, 'lock'))
  if (holder === undefined || !isRunning(holder)) return undefined
  const state = await until(`the mesh in ${directory} is described`, () => described(directory), SLOWLY)
  const world = await openLocalWorld(state)
  try {
    await until(`the mesh in ${directory} is ready`, () => isServing(world), SLOWLY)
    return world
  } catch (error) {
    await world.close()
    throw error
  }
}

const SLOWLY = { withinMs: READY_MS, everyMs: 200 }

/** It writes `run/mesh.json` once everything has been started. */
async function described(directory: string): Promise<MeshState | undefined> {
  const isWhole = (await readMeshFile(directory)) !== undefined
  return isWhole ? readMeshState(directory).catch(() => undefined) : undefined
}

async function isServing({ gateway }: LocalWorld): Promise<boolean> {
  const statuses = await Promise.all(
    PATHS.map((path) =>
      gateway.ask({ path }).then(
        ({ status }) => status,
        () => 503,
      ),
    ),
  )
  return statuses.every((status) => status < 500)
}

async function readHolder(lock: string): Promise<ProcessMark | undefined> {
  try {
    const { pid, startTime } = JSON.parse(await readFile(lock, 'utf8')) as ProcessMark
    return { pid, startTime }
  } catch {
    return undefined
  }
}
