import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'
import { type LocalWorld, openLocalWorld } from './local-world.ts'
import { readMeshState } from './mesh-state.ts'
import { copyShop } from './shop-copy.ts'

export interface OwnWorld extends LocalWorld {
  /** What `.hauberk` is for `npm start`. */
  readonly stateDirectory: string
  readonly httpsPort: number
  /** Ends the mesh, and removes all that it kept. */
  stop(): Promise<void>
}

export interface OwnWorldOptions {
  /** Milliseconds of load until the certificates are judged. Default 0. */
  readonly soakMs?: number
  /** Gives up starting. */
  readonly signal?: AbortSignal
}

/** The shortest life that a certificate can have. */
const LEAF_LIFETIME_MS = 30_000

/** Starts a mesh for the scenarios alone: on free ports, in a temporary directory, on a copy of the shop's YAML. */
export async function startOwnWorld({ soakMs = 0, signal }: OwnWorldOptions = {}): Promise<OwnWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-e2e-'))
  let mesh: LocalMesh | undefined
  const end = async () => {
    await mesh?.stop()
    await rm(directory, { recursive: true, force: true })
  }
  try {
    const shop = await copyShop(join(directory, 'shop'))
    const started = await startLocalMesh({
      files: shop.files,
      stateDirectory: join(directory, 'state'),
      httpsPort: 0,
      httpPort: 0,
      readyMs: 150_000,
      leafLifetimeMs: LEAF_LIFETIME_MS,
      ...(signal !== undefined && { signal }),
    })
    mesh = started
    const world = await openLocalWorld(await readMeshState(started.stateDirectory), {
      shop,
      leafLifetimeMs: LEAF_LIFETIME_MS,
      soakMs,
      kill: (name) => started.kill(name),
    })
    return {
      ...world,
      stateDirectory: started.stateDirectory,
      httpsPort: started.httpsPort,
      async stop() {
        await world.close()
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}
