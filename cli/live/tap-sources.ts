import { FileError, readFileCapped } from '../../runtime/atomic-file.ts'
import { type ChosenMesh, chooseMesh, type MeshFlags } from '../choose-mesh.ts'
import { ExecError } from '../cluster/exec.ts'
import { elsewhere, findPods, listMeshedPods } from '../cluster/pods.ts'
import type { AdminAddress } from '../dev/mesh-file.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import { findRunningMesh } from '../running-mesh.ts'
import { findWorkload } from '../workload-name.ts'

/** Sidecars that one command taps at most: each is a stream of its own. */
export const MAX_SOURCES = 16

/** A sidecar that can be tapped. */
export interface TapSource {
  /** `namespace/name` of the pod, or of the workload on a local mesh. */
  readonly of: string
  /** Gives each line until `signal` aborts. Rejects with a CommandError where it breaks. */
  follow(path: string, onLine: (line: string) => void, signal: AbortSignal): Promise<void>
}

export interface TapSources {
  readonly sources: readonly TapSource[]
  /** Those that are left out. */
  readonly omitted: number
  close(): void
}

/** The sidecars of the workloads that are named, or of all. Ends the command where there is none. */
export async function openTapSources(words: readonly string[], flags: MeshFlags): Promise<TapSources> {
  const mesh: ChosenMesh = await chooseMesh(flags)
  if (mesh.kind === 'local') {
    const { proxies } = await findRunningMesh(mesh.state)
    const chosen = words.length === 0 ? proxies : words.map((word) => findWorkload(word, proxies))
    return bounded([...new Set(chosen)].map(({ workload, admin }) => localSource(workload, admin)))
  }
  const { cluster } = mesh
  const pods = await listMeshedPods(cluster, cluster.namespace)
  const found =
    words.length === 0 ? pods : (await Promise.all(words.map((word) => findPods(cluster, word, pods)))).flat()
  const running = [...new Set(found)].filter(({ isRunning }) => isRunning)
  if (running.length === 0) {
    cluster.close()
    throw new CommandError(EXIT.failure, `there is no pod with a sidecar that runs${elsewhere(cluster.namespace)}`)
  }
  const sources = running.map(({ namespace, name, container }): TapSource => {
    const of = `${namespace}/${name}`
    return {
      of,
      async follow(path, onLine, signal) {
        const command = ['node', '/app/hauberk-sidecar.mjs', 'ask', path]
        try {
          await cluster.execLines({ namespace, pod: name, container }, command, onLine, signal)
        } catch (cause) {
          if (!(cause instanceof ExecError)) throw cause
          throw new CommandError(EXIT.failure, `${of} cannot be tapped: ${cause.message}`, { cause })
        }
      },
    }
  })
  return { ...bounded(sources), close: () => cluster.close() }
}

function bounded(sources: readonly TapSource[]): TapSources {
  return { sources: sources.slice(0, MAX_SOURCES), omitted: Math.max(0, sources.length - MAX_SOURCES), close() {} }
}

const MAX_TOKEN_BYTES = 4_096

function localSource(workload: string, { url, tokenFile }: AdminAddress): TapSource {
  return {
    of: workload,
    async follow(path, onLine, signal) {
      try {
        const token = (await readFileCapped(tokenFile, MAX_TOKEN_BYTES)).toString('utf8').trim()
        const headers = { authorization: `Bearer ${token}` }
        const response = await fetch(`${url}${path}`, { headers, redirect: 'error', signal })
        if (!response.ok || response.body === null) {
          await response.body?.cancel()
          throw new CommandError(EXIT.failure, `${workload} cannot be tapped: ${whyNot(response.status)}`)
        }
        let rest = ''
        for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
          const lines = (rest + text).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) onLine(line)
        }
        if (!signal.aborted) throw new CommandError(EXIT.failure, `the sidecar of ${workload} has ended`)
      } catch (cause) {
        if (signal.aborted) return
        if (cause instanceof CommandError) throw cause
        const why = cause instanceof FileError ? cause.message : `it does not answer at ${url}`
        throw new CommandError(EXIT.failure, `${workload} cannot be tapped: ${why}`, { cause })
      }
    },
  }
}

function whyNot(status: number): string {
  if (status === 429) return 'as many taps as it has are open'
  return status === 404 ? 'it is of an older release' : `it answers ${status}`
}
