import { MAX_WORKERS } from '../../contract/pod.ts'
import { issue, ok, type Result } from '../../model/result.ts'
import { annotationPath } from './exclusions.ts'

/** An annotation of a pod: how many threads of its sidecar serve. */
export const WORKERS_ANNOTATION = 'hauberk.dev/workers'

/** Undefined where the pod does not say, or says one: what its sidecar is told is then as it always was. */
export function readWorkers(annotations: Readonly<Record<string, string>>): Result<number | undefined> {
  const text = annotations[WORKERS_ANNOTATION]
  if (text === undefined) return ok(undefined)
  const workers = /^[0-9]{1,2}$/.test(text) ? Number(text) : 0
  if (workers >= 1 && workers <= MAX_WORKERS) return ok(workers === 1 ? undefined : workers)
  const message = `'${text}' is no number of workers`
  const found = issue('malformed-annotation', annotationPath(WORKERS_ANNOTATION), message, `write 1 to ${MAX_WORKERS}`)
  return { ok: false, issues: [found] }
}
