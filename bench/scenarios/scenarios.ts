import type { Scenario } from '../scenario.ts'
import { http1 } from './http1.ts'

/** Every scenario, in the order that they run. A new one is a file beside this one and a line here. */
export const SCENARIOS: readonly Scenario[] = [http1]
