/**
 * `npm run tour`: every behaviour that the mesh promises, one after the other, on a mesh that runs.
 */
import { SCENARIOS } from './scenarios/all.ts'
import { readTourRequest, USAGE } from './tour/options.ts'
import { createTourPrinter, sentenceOf } from './tour/print.ts'
import { walk } from './tour/walk.ts'

const request = readTourRequest(process.argv.slice(2))
switch (request.kind) {
  case 'help':
    process.stdout.write(`${USAGE}\n`)
    break
  case 'list':
    for (const [i, { name, title }] of SCENARIOS.entries()) {
      process.stdout.write(`${String(i + 1).padStart(2)}  ${name.padEnd(22)} ${sentenceOf(title)}\n`)
    }
    break
  case 'wrong':
    process.stderr.write(`${request.message}\n`)
    process.exitCode = 2
    break
  case 'walk': {
    const stopping = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => stopping.abort(new Error(`ended by ${signal}`)))
    }
    const ok = await walk(request, createTourPrinter(process.stdout), stopping.signal)
    process.exitCode = ok ? 0 : 1
  }
}
