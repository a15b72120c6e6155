import { readAppRoot } from '../app-root.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import type { DataPlaneOptions } from '../serve/data-plane.ts'
import type { WorkerPlace } from './messages.ts'

/** Makes of values what a data plane is handed, as whoever started the process has. */
export async function openPlace(
  place: WorkerPlace,
  pipeline: () => Pipeline | undefined,
): Promise<Pick<DataPlaneOptions, 'placement' | 'capture' | 'appRootPid'>> {
  if (place.kind === 'local') {
    return { placement: place.placement, appRootPid: () => readAppRoot(place.appPidFile) }
  }
  const { capturePlace, podPlacement } = await import('../pod/placement.ts')
  const placement = podPlacement(place, pipeline)
  if (place.told.role === 'gateway') return { placement }
  // Only here: it loads a native library.
  const [{ createCapture }, { openOriginalDestination }] = await Promise.all([
    import('../capture/capture.ts'),
    import('../capture/original-destination.ts'),
  ])
  const capture = createCapture({ ...capturePlace(place), originalDestination: openOriginalDestination() })
  return { placement, capture }
}
