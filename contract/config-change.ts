import * as v from 'valibot'
import { fail, issue, ok, type Result } from '../model/result.ts'
import { isSame } from '../model/same.ts'
import type { Upstream, WorkloadConfig } from './workload-config.ts'

const index = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))

/** As many parts as the second says, which stand from the first on in the config before: `[at, count]`. */
const Run = v.strictTuple([index, index])
type Run = v.InferOutput<typeof Run>

/**
 * A config, told to who holds another one: what both have is named and not said again, so that one policy of a thousand
 * costs about one. Routes of listeners and outbound Services that stay are runs `[at, count]` in place of themselves;
 * `upstreams` has those that are new or other ones.
 */
export const ConfigChange = v.strictObject({
  type: v.literal('config-change'),
  /** The version of the config before. */
  base: v.string(),
  /** The config but for what it has in common with the one before; its version is that of the whole. */
  config: v.looseObject({ version: v.string(), upstreams: v.record(v.string(), v.unknown()) }),
  /** Names of the upstreams before that are there no more. */
  gone: v.array(v.string()),
})
export type ConfigChange = v.InferOutput<typeof ConfigChange>

/** What to tell who holds `before` and is to hold `after`. */
export function changeBetween(before: WorkloadConfig, after: WorkloadConfig): ConfigChange {
  const routes = new Map(before.listeners.map((listener) => [nameOf(listener), listener.routes]))
  const upstreams: Record<string, Upstream> = {}
  for (const [name, upstream] of Object.entries(after.upstreams)) {
    if (!Object.hasOwn(before.upstreams, name) || !isSame(before.upstreams[name], upstream)) upstreams[name] = upstream
  }
  return {
    type: 'config-change',
    base: before.version,
    config: {
      ...after,
      listeners: after.listeners.map((listener) => ({
        ...listener,
        routes: withRuns(listener.routes, routes.get(nameOf(listener)) ?? [], 'id'),
      })),
      outbound: {
        ...after.outbound,
        services: withRuns(after.outbound.services, before.outbound.services, 'upstream'),
      },
      upstreams,
    },
    gone: Object.keys(before.upstreams).filter((name) => !Object.hasOwn(after.upstreams, name)),
  }
}

/**
 * The whole config, as it would be on the wire, with the very parts of `before` where they stay. What is not a config comes
 * out as it is: whoever reads it sees. Fails where the change is one of another config, or names what `before` has not.
 */
export function withChange({ base, config, gone }: ConfigChange, before: WorkloadConfig): Result<unknown> {
  if (base !== before.version) {
    return fail(issue('another-base', 'base', `is ${base}, and this sidecar holds ${before.version}`))
  }
  const routes = new Map(before.listeners.map((listener) => [nameOf(listener), listener.routes]))
  const missing: string[] = []
  const fill = (parts: unknown, earlier: readonly unknown[] | undefined, path: string): unknown => {
    if (!Array.isArray(parts)) return parts
    const filled: unknown[] = []
    for (const [i, part] of (parts as readonly unknown[]).entries()) {
      if (!Array.isArray(part)) {
        filled.push(part)
        continue
      }
      const run = v.safeParse(Run, part)
      const [at, count] = run.success ? run.output : [0, Number.MAX_SAFE_INTEGER]
      if (at + count > (earlier?.length ?? 0)) missing.push(`${path}.${i}`)
      else filled.push(...earlier!.slice(at, at + count))
    }
    return filled
  }
  const { listeners, outbound } = config
  const removed = new Set(gone)
  const whole = {
    ...config,
    ...(Array.isArray(listeners) && {
      listeners: (listeners as readonly unknown[]).map((listener, i) =>
        isObject(listener)
          ? {
              ...listener,
              routes: fill(listener['routes'], routes.get(nameOf(listener)), `config.listeners.${i}.routes`),
            }
          : listener,
      ),
    }),
    ...(isObject(outbound) && {
      outbound: {
        ...outbound,
        services: fill(outbound['services'], before.outbound.services, 'config.outbound.services'),
      },
    }),
    upstreams: {
      ...Object.fromEntries(Object.entries(before.upstreams).filter(([name]) => !removed.has(name))),
      ...config.upstreams,
    },
  }
  if (missing.length === 0) return ok(whole)
  return fail(...missing.map((path) => issue('another-base', path, 'names parts that the config before has not')))
}

/** By what a listener is known from one config to the next. */
export function nameOf(listener: Readonly<Record<string, unknown>>): unknown {
  return listener['kind'] === 'gateway' ? listener['name'] : listener['port']
}

/** `now` with runs in place of what stands among `earlier` too, at the same place or under the same key. */
function withRuns<Part extends Readonly<Record<string, unknown>>>(
  now: readonly Part[],
  earlier: readonly Part[],
  key: string,
): readonly (Part | Run)[] {
  const written: (Part | Run)[] = []
  const placeOf = findIn(earlier, key)
  let run: [number, number] | undefined
  for (const [at, part] of now.entries()) {
    const place = placeOf(part, run === undefined ? at : run[0] + run[1])
    if (place === undefined) {
      run = undefined
      written.push(part)
    } else if (run !== undefined && place === run[0] + run[1]) run[1]++
    else {
      run = [place, 1]
      written.push(run)
    }
  }
  return written
}

/** Finds where a part stands that says the same: where it is looked for first, or by its key. */
export function findIn<Part extends Readonly<Record<string, unknown>>>(
  earlier: readonly Part[],
  key: string,
): (part: Readonly<Record<string, unknown>>, first: number) => number | undefined {
  let byKey: Map<unknown, number> | undefined
  return (part, first) => {
    const there = earlier[first]
    if (there !== undefined && isSame(part, there)) return first
    byKey ??= new Map(earlier.map((each, at) => [each[key], at]))
    const named = byKey.get(part[key])
    return named !== undefined && isSame(part, earlier[named]) ? named : undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
