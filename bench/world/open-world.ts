import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startBackend } from './backend.ts'
import { makeCertificates } from './certificates.ts'
import { type CountingBackend, startChildBackend } from './child-backend.ts'
import { makeTokens } from './tokens.ts'
import type { World } from './world.ts'

const ROOT = join(import.meta.dirname, '..', '..')

export interface WorldOptions {
  /** As many as any contestant takes in turn. */
  readonly tokens: number
  readonly profiles: string | undefined
}

/** Builds the product, makes certificates and tokens, and starts the application, all for one run. */
export async function openWorld({ tokens, profiles }: WorldOptions): Promise<{
  readonly world: World
  /** Ends the applications; forgets all files unless they are to be kept. */
  close(keepsFiles: boolean): Promise<void>
}> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-bench-'))
  // The last CPU for the proxy: interrupts tend to be served by the first.
  const cores = { proxy: availableParallelism() - 1, rest: 0 }
  const bundle = join(directory, 'dist')
  // The program reads its version from above its bundle.
  await copyFile(join(ROOT, 'package.json'), join(directory, 'package.json'))
  await promisify(execFile)(process.execPath, [join(ROOT, 'tools', 'build.ts'), '--out', bundle])
  const backend = await startBackend(join(directory, 'backend'), cores.rest)
  const started: Promise<CountingBackend>[] = []
  const once = (program: string) => {
    let running: Promise<CountingBackend> | undefined
    return () => {
      running ??= startChildBackend(program, directory, cores.rest)
      started.push(running)
      return running
    }
  }
  const world: World = {
    directory,
    cores,
    bundle,
    certificates: await makeCertificates(directory),
    tokens: makeTokens(tokens),
    backend,
    grpc: once('grpc-program.ts'),
    echo: once('echo-program.ts'),
    ...(profiles !== undefined && { profiles }),
  }
  return {
    world,
    async close(keepsFiles) {
      await Promise.all([backend.stop(), ...started.map(async (each) => (await each).stop())])
      if (!keepsFiles) await rm(directory, { recursive: true, force: true })
    },
  }
}
