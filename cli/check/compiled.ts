import type { FilterSlot, WorkloadConfig } from '../../contract/workload-config.ts'
import type { Issue } from '../../model/result.ts'
import { parsePath } from '../../operator/schema/review.ts'
import { compile } from '../../sidecar/compile/compile.ts'
import { OFFLINE } from '../file-mesh.ts'
import { resourceOfOrigin } from '../origin.ts'

/**
 * What a sidecar would refuse in these configs, before one is asked to: the same `compile`. An issue is about the policies
 * behind the part that does not compile where there are any, else about the workload.
 */
export function compileIssues(configs: Iterable<WorkloadConfig>): readonly Issue[] {
  return [...configs].flatMap((config) => {
    const compiled = compile(config, undefined, OFFLINE)
    if (compiled.ok) return []
    return compiled.issues.map((found): Issue => {
      const message = `${config.workload} would refuse its configuration: ${found.path}: ${found.message}`
      const resource = resourceBehind(config, found.path)
      return { ...found, code: 'refused-by-sidecar', path: '', message, ...(resource !== undefined && { resource }) }
    })
  })
}

/** The first policy in the origins of the slot that a path of the config leads through. */
function resourceBehind(config: WorkloadConfig, path: string): string | undefined {
  let value: unknown = config
  for (const key of parsePath(path)) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Readonly<Record<string | number, unknown>>)[key]
    const origin = isSlot(value) ? value.origins[0] : undefined
    if (origin !== undefined) return resourceOfOrigin(origin)
  }
  return undefined
}

function isSlot(value: unknown): value is FilterSlot {
  return typeof value === 'object' && value !== null && 'origins' in value && 'state' in value
}
