import { readFile } from 'node:fs/promises'
import { readAppRoot } from './app-root.ts'
import type { SidecarOptions } from './options.ts'
import { openSidecar } from './sidecar.ts'

/**
 * Runs a sidecar or gateway of the local mesh until `signal` aborts, then drains it. Resolves with the process's exit code.
 *
 * Rejects only for what can never work: a port that is taken, a state directory that cannot be made.
 */
export async function runSidecar(options: SidecarOptions, release: string, signal: AbortSignal): Promise<number> {
  const { admin, joinTokenFile, placement, appPidFile, keystoreDirectory, workers = 1, ...rest } = options
  const sidecar = await openSidecar(
    {
      ...rest,
      release,
      tokenFile: joinTokenFile,
      admin: { port: admin.port, token: (await readFile(admin.tokenFile, 'utf8')).trim() },
      placement: () => placement,
      appRootPid: () => readAppRoot(appPidFile),
      ...(keystoreDirectory !== undefined && { keystores: { directory: keystoreDirectory, mode: 0o600 } }),
      workers: { count: workers, place: { kind: 'local', placement, appPidFile } },
    },
    signal,
  )
  await sidecar.identify()
  await sidecar.serve()
  await aborted(signal)
  return sidecar.end()
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
