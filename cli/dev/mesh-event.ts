import type { Exit } from './child-process.ts'
import type { FleetChanges } from './fleet.ts'
import type { IssueChanges } from './status-watch.ts'

/** What happens to a mesh. */
export type MeshEvent =
  | { readonly type: 'step-began'; readonly name: string }
  | { readonly type: 'step-done'; readonly name: string; readonly label: string; readonly ms: number }
  | { readonly type: 'step-failed'; readonly name: string; readonly ms: number }
  /** A process ended without being asked to; it is started again in `waitMs`. */
  | { readonly type: 'ended'; readonly name: string; readonly how: Exit | Error; readonly waitMs: number }
  | { readonly type: 'back'; readonly name: string }
  /** What people wrote: mistakes that were found, or are no more. */
  | ({ readonly type: 'issues' } & IssueChanges)
  /** By workload: what the files say now that they did not. */
  | ({ readonly type: 'changed' } & FleetChanges)
  /** The files say something else about what runs, and nobody asked to follow that. */
  | { readonly type: 'unfollowed' }
  /** A change of the files could not be followed. */
  | { readonly type: 'trouble'; readonly error: Error }
