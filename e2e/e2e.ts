/**
 * `npm run e2e`: what the mesh promises, on a real Kubernetes cluster.
 */
import { readE2eRequest, USAGE } from './cluster/options.ts'
import { ALL, isCore, MissingNeed, runE2e } from './cluster/run.ts'
import { createTourPrinter, sentenceOf } from './tour/print.ts'

const request = readE2eRequest(process.argv.slice(2))
switch (request.kind) {
  case 'help':
    process.stdout.write(`${USAGE}\n`)
    break
  case 'list':
    for (const scenario of ALL) {
      const { name, title } = scenario
      process.stdout.write(`${isCore(scenario) ? 'core' : 'all '}  ${name.padEnd(26)} ${sentenceOf(title)}\n`)
    }
    break
  case 'wrong':
    process.stderr.write(`${request.message}\n`)
    process.exitCode = 2
    break
  case 'run': {
    const unknown = request.only.find((name) => !ALL.some((scenario) => scenario.name === name))
    if (unknown !== undefined) {
      process.stderr.write(`there is no scenario ${unknown}: see --list\n`)
      process.exitCode = 2
      break
    }
    const stopping = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => stopping.abort(new Error(`ended by ${signal}`)))
    }
    try {
      const start = performance.now()
      const { passed, failed, skipped } = await runE2e(request, createTourPrinter(process.stdout), stopping.signal)
      const seconds = Math.round((performance.now() - start) / 1_000)
      process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped, in ${seconds} s\n`)
      process.exitCode = failed === 0 && !stopping.signal.aborted ? 0 : 1
    } catch (error) {
      const isMissing = error instanceof MissingNeed
      process.stderr.write(isMissing ? `Missing on this machine:\n${error.message}\n` : `${(error as Error).stack}\n`)
      process.exitCode = isMissing ? 3 : 1
    }
  }
}
