import { runSidecar } from '../../main.ts'
import { readSidecarOptions } from '../../options.ts'

/** A sidecar as a program, told by the options file that is the one argument. */
const end = new AbortController()
process.once('SIGTERM', () => end.abort())
process.exit(await runSidecar(await readSidecarOptions(process.argv[2] ?? ''), 'test', end.signal))
