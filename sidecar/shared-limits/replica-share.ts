import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { ReplicaShare } from '../../model/filter.ts'

/**
 * Among how many replicas limits are divided, as the newest endpoints say. Nothing is made anew when it changes: what was
 * counted before stays counted.
 */
export function replicaShare(endpoints: () => EndpointsDocument | undefined): ReplicaShare {
  return {
    get replicas() {
      return endpoints()?.replicas ?? 1
    },
  }
}
