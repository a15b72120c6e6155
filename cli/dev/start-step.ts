import type { Clock } from '../../runtime/clock.ts'
import type { MeshEvent } from './mesh-event.ts'
import type { Patience } from './patience.ts'

/** A step of the start: told when it begins and how it ends; given up when patience is over. `label`: what came of it. */
export type Step = <T>(name: string, work: () => Promise<T>, label?: (result: T) => string) => Promise<T>

export function createStep(
  emit: (event: MeshEvent) => void,
  patience: Patience,
  clock: Pick<Clock, 'monotonic'>,
): Step {
  return async (name, work, label) => {
    const startedAt = clock.monotonic()
    emit({ type: 'step-began', name })
    try {
      const result = await Promise.race([work(), patience.over])
      emit({ type: 'step-done', name, label: label?.(result) ?? name, ms: clock.monotonic() - startedAt })
      return result
    } catch (error) {
      emit({ type: 'step-failed', name, ms: clock.monotonic() - startedAt })
      throw error
    }
  }
}
