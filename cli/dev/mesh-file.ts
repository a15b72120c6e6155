import { readFile } from 'node:fs/promises'
import { writeFileAtomic } from '../../runtime/atomic-file.ts'
import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import { isRunning, type ProcessMark, signalGroup } from './process-tree.ts'
import type { StateDirectory } from './state.ts'

/**
 * `run/mesh.json` of a state directory: the mesh that runs there, for the other verbs. Tokens are in files of their own,
 * 0600 like this one.
 */
export interface MeshFile {
  readonly process: ProcessMark
  readonly files: readonly string[]
  readonly trustAnchorsFile: string
  readonly operator: { readonly admin: AdminAddress; readonly statusFile: string }
  readonly proxies: readonly {
    /** `namespace/name`. */
    readonly workload: string
    readonly role: 'sidecar' | 'gateway'
    readonly pod: string
    readonly spiffeId: string
    readonly admin: AdminAddress
    readonly optionsFile: string
  }[]
  readonly listeners: readonly {
    /** The gateway's workload. */
    readonly workload: string
    readonly name: string
    readonly protocol: 'http' | 'https' | 'tls' | 'tcp'
    readonly port: number
    readonly localPort: number
    readonly hostname?: string
  }[]
  /** By name, such as `sidecar shop/orders`. */
  readonly children: Readonly<Record<string, ProcessMark>>
}

export interface AdminAddress {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  /** Holds the bearer token. */
  readonly tokenFile: string
}

/** Where a state directory says which mesh runs in it. */
export function meshFilePath(stateDirectory: string): string {
  return `${stateDirectory}/run/mesh.json`
}

/** The mesh that runs in a state directory; undefined when none does. */
export async function readMeshFile(stateDirectory: string): Promise<MeshFile | undefined> {
  const mesh = await readAnyMeshFile(stateDirectory)
  return mesh !== undefined && isRunning(mesh.process) ? mesh : undefined
}

async function readAnyMeshFile(stateDirectory: string): Promise<MeshFile | undefined> {
  try {
    return JSON.parse(await readFile(meshFilePath(stateDirectory), 'utf8')) as MeshFile
  } catch {
    return undefined
  }
}

/** Keeps the file on what runs. */
export interface MeshFileWriter {
  /** Something was started or ended. Written a moment later. */
  touch(): void
  write(): Promise<void>
  close(): Promise<void>
}

/** Milliseconds that starts are gathered. */
const GATHER_MS = 50

/** `describe` gives undefined while there is nothing to say yet. */
export function createMeshFileWriter(
  state: StateDirectory,
  clock: Clock,
  describe: () => MeshFile | undefined,
): MeshFileWriter {
  let work = Promise.resolve()
  let cancel: CancelTimer | undefined
  let isClosed = false
  const write = () => {
    cancel?.()
    cancel = undefined
    work = work.then(async () => {
      const mesh = isClosed ? undefined : describe()
      if (mesh === undefined) return
      // Without the file, other verbs find no mesh; the mesh itself needs it not.
      await writeFileAtomic(meshFilePath(state.path), `${JSON.stringify(mesh, undefined, 2)}\n`).catch(() => {})
    })
    return work
  }
  return {
    touch() {
      cancel ??= clock.setTimer(GATHER_MS, () => void write(), { keepAlive: false })
    },
    write,
    close() {
      isClosed = true
      cancel?.()
      return work
    },
  }
}

/** Milliseconds that the children of a mesh that was killed have to end by themselves. */
const LEFTOVER_MS = 5_000
const POLL_MS = 50

/** Waits for what a killed mesh left behind in this state directory, and ends what does not end: it holds our ports. */
export async function endLeftovers(state: StateDirectory): Promise<void> {
  const before = await readAnyMeshFile(state.path)
  const children = Object.values(before?.children ?? {}).filter(
    // Without a start time, the number alone says too little to end anything by it.
    (child) => child.startTime !== undefined,
  )
  const deadline = performance.now() + LEFTOVER_MS
  while (children.some(isRunning) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  for (const child of children) if (isRunning(child)) signalGroup(child.pid, 'SIGKILL')
}
