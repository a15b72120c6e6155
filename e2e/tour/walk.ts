import type { LocalWorld } from '../local/local-world.ts'
import { type OwnWorld, startOwnWorld } from '../local/own-world.ts'
import { runningWorld } from '../local/running-world.ts'
import type { Scenario } from '../scenarios/scenario.ts'
import type { TourRequest } from './options.ts'
import type { TourPrinter } from './print.ts'

/**
 * Runs scenarios one after the other. What fails is told and the next one runs; true if none did.
 *
 * Those that need a mesh of their own get one, started when the first of them is reached; the others are asked of the mesh
 * that runs already, if one does.
 */
export async function walk(
  { scenarios, own, stateDirectory, soakMs }: Extract<TourRequest, { kind: 'walk' }>,
  print: TourPrinter,
  signal: AbortSignal,
): Promise<boolean> {
  const start = performance.now()
  let running: LocalWorld | undefined
  let started: OwnWorld | undefined
  let failed = 0
  let passed = 0

  const ownWorld = async (): Promise<LocalWorld> => {
    if (started !== undefined) return started
    print.doing('starting a mesh')
    const began = performance.now()
    started = await startOwnWorld({ soakMs, signal })
    const seconds = ((performance.now() - began) / 1_000).toFixed(1)
    print.note(`A mesh of the tour’s own, started in ${seconds} s: ${started.gateway.origin}`)
    // From now on, until the certificates are judged.
    if (scenarios.some(({ name }) => name === 'short-certificates')) await started.load()
    return started
  }
  try {
    if (!own) running = await runningWorld(stateDirectory)
    if (running !== undefined) print.note(`The mesh that runs in ${running.state.directory}: ${running.gateway.origin}`)
    for (const scenario of scenarios) {
      if (signal.aborted) break
      const world = running !== undefined && scenario.needsOwn === undefined ? running : await ownWorld()
      print.begin(scenario)
      const isPassed = await runScenario(scenario, world, print, signal)
      if (isPassed) passed += 1
      else failed += 1
    }
  } catch (error) {
    failed += 1
    if (!signal.aborted) print.failed(error)
  } finally {
    print.doing('ending')
    await running?.close()
    await started?.stop()
  }
  if (signal.aborted) print.failed(signal.reason)
  print.end({ passed, failed: scenarios.length - passed, tookMs: performance.now() - start })
  return failed === 0 && passed === scenarios.length
}

async function runScenario(
  scenario: Scenario,
  world: LocalWorld,
  print: TourPrinter,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    for await (const step of scenario.run(world)) {
      print.step(step)
      if (signal.aborted) return false
    }
    return true
  } catch (error) {
    print.failed(error)
    return false
  }
}
