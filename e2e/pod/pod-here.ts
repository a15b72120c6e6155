import { openOriginalDestination } from '../../sidecar/capture/original-destination.ts'
import type { PodOptions } from '../../sidecar/pod/options.ts'
import { runPod } from '../../sidecar/pod/run-pod.ts'

/** The sidecar of a pod as its container runs it, on ports and paths of this machine: they stand in the one argument. */
const options = JSON.parse(process.argv[2] ?? '') as PodOptions
const end = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => end.abort())
process.exit(await runPod(options, { release: 'test', originalDestination: openOriginalDestination() }, end.signal))
