import { parseArgs } from 'node:util'
import { DEFAULT_STATE } from '../../cli/running-mesh.ts'
import { SCENARIOS } from '../scenarios/all.ts'
import type { Scenario } from '../scenarios/scenario.ts'

/** What a tour is asked to be. */
export type TourRequest =
  | { readonly kind: 'help' }
  | { readonly kind: 'list' }
  | { readonly kind: 'wrong'; readonly message: string }
  | {
      readonly kind: 'walk'
      readonly scenarios: readonly Scenario[]
      /** Nothing is asked of a mesh that runs already. */
      readonly own: boolean
      /** The state directory of a mesh that may run already. */
      readonly stateDirectory: string
      readonly soakMs: number
    }

/** Two minutes: four lives of a certificate. */
const SOAK_SECONDS = 120

export const USAGE = `Walks through the mesh, one line a step: what was sent, what came back, and which policy said so.

Usage: npm run tour [-- OPTIONS]

  --only NAMES      these scenarios, by name or number, separated by commas
  --own             a mesh of its own for everything, even where one runs
  --state DIR       where a mesh that runs keeps its state (${DEFAULT_STATE})
  --soak SECONDS    how long the load runs until the certificates are judged (${SOAK_SECONDS})
  --list            what there is
  --help            this

A mesh that runs already (npm start) is asked whatever needs only requests. What changes policies, keys or processes is
done to a mesh of the tour's own, on other ports and in a temporary directory.

Exit code: 0 if every step came out as written, 1 if one did not, 2 for wrong usage.

Examples:
  npm run tour
  npm run tour -- --only forged-tokens,rate-limit
  npm run tour -- --only 20 --own`

export function readTourRequest(args: readonly string[]): TourRequest {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true },
        own: { type: 'boolean', default: false },
        state: { type: 'string', default: DEFAULT_STATE },
        soak: { type: 'string', default: String(SOAK_SECONDS) },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return { kind: 'help' }
    if (values.list) return { kind: 'list' }
    const soakMs = Number(values.soak) * 1_000
    if (!(soakMs >= 0 && soakMs <= 3_600_000)) return wrong(`--soak is a number of seconds, up to 3600: ${values.soak}`)
    const walk = { kind: 'walk', own: values.own, stateDirectory: values.state, soakMs } as const
    const names = values.only?.flatMap((list) => list.split(',')).map((name) => name.trim())
    if (names === undefined) return { ...walk, scenarios: SCENARIOS }
    const unknown = names.find((name) => !SCENARIOS.some((scenario) => isNamed(scenario, name)))
    if (unknown !== undefined) return wrong(`there is no scenario ${unknown}: see --list`)
    const scenarios = SCENARIOS.filter((scenario) => names.some((name) => isNamed(scenario, name)))
    return { ...walk, scenarios }
  } catch (error) {
    return wrong((error as Error).message)
  }
}

function isNamed(scenario: Scenario, name: string): boolean {
  return scenario.name === name || String(SCENARIOS.indexOf(scenario) + 1) === name.replace(/^0+/, '')
}

function wrong(message: string): TourRequest {
  return { kind: 'wrong', message }
}
