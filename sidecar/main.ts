import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { SidecarOptions } from './options.ts'
import { openSidecar } from './sidecar.ts'

/**
 * Runs a sidecar or gateway of the local mesh until `signal` aborts, then drains it. Resolves with the process's exit code.
 *
 * Rejects only for what can never work: a port that is taken, a state directory that cannot be made.
 */
export async function runSidecar(options: SidecarOptions, release: string, signal: AbortSignal): Promise<number> {
  const { admin, joinTokenFile, placement, appPidFile, ...rest } = options
  const sidecar = await openSidecar(
    {
      ...rest,
      release,
      tokenFile: joinTokenFile,
      admin: { port: admin.port, token: (await readFile(admin.tokenFile, 'utf8')).trim() },
      placement: () => placement,
      appRootPid: () => readPid(appPidFile),
    },
    signal,
  )
  await sidecar.identify()
  await sidecar.serve()
  await aborted(signal)
  return sidecar.end()
}

/** Read for each connection to a TCP port: the app may have been started again meanwhile. */
function readPid(path: string | undefined): number | undefined {
  if (path === undefined) return undefined
  try {
    const pid = Number(readFileSync(path, 'utf8').trim())
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
