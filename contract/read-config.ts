import { ok, type Result, under } from '../model/result.ts'
import { isSame } from '../model/same.ts'
import { atOnce, type Turns } from '../model/turns.ts'
import { decode, parseJson, read } from './codec.ts'
import { ConfigChange, findIn, nameOf, withChange } from './config-change.ts'
import { OperatorMessage } from './session.ts'
import { type Upstream, WorkloadConfig } from './workload-config.ts'

/**
 * Reads a config as {@link read} does, and takes from `before` each route, outbound Service and upstream that says the same as one
 * there: the very object, so that neither it is read again nor what was made of it need be made again. A push that changes
 * one route of a thousand then costs about one.
 */
export function readConfig(wire: unknown, before: WorkloadConfig): Result<WorkloadConfig> {
  return atOnce(readInTurns(wire, before))
}

function* readInTurns(wire: unknown, before: WorkloadConfig): Turns<Result<WorkloadConfig>> {
  if (!isObject(wire)) return read(WorkloadConfig, wire)
  const restores: Restore[] = []
  const listeners = yield* reduceListeners(wire, before, restores)
  const outbound = yield* reduceOutbound(wire, before, restores)
  const rest = { ...wire, ...listeners, ...outbound }
  if (isObject(wire['upstreams'])) rest['upstreams'] = reduceUpstreams(wire['upstreams'], before, restores)
  yield
  const found = read(WorkloadConfig, rest)
  // Paths of issues are those of the whole.
  if (!found.ok) return read(WorkloadConfig, wire)
  const config = found.value
  for (const restore of restores) restore(config)
  return ok(config)
}

/** Routes or Services that are compared in a turn. */
const PARTS_A_TURN = 100

/**
 * Decodes what an operator says, a config by {@link readConfig} and a change of `before` as the config that it leads to. What
 * is neither takes one turn.
 */
export function* decodeOperatorMessage(
  text: string,
  before: WorkloadConfig | undefined,
): Turns<Result<OperatorMessage>> {
  if (before === undefined) return decode(OperatorMessage, text)
  const wire = parseJson(text)
  if (!wire.ok) return wire
  const message = wire.value
  if (!isObject(message)) return read(OperatorMessage, message)
  let config: unknown
  if (message['type'] === 'config' && Object.keys(message).length === 2) config = message['config']
  else if (message['type'] === 'config-change') {
    const change = read(ConfigChange, message)
    if (!change.ok) return change
    const whole = withChange(change.value, before)
    if (!whole.ok) return whole
    config = whole.value
  } else return read(OperatorMessage, message)
  yield
  const found = yield* readInTurns(config, before)
  yield
  if (found.ok) return ok({ type: 'config', config: found.value })
  return { ok: false, issues: found.issues.map((each) => under('config', each)) }
}

type Json = Readonly<Record<string, unknown>>

/** Puts what was kept into a config that was just read: nobody else has seen it yet. */
type Restore = (config: WorkloadConfig) => void

function* reduceListeners(wire: Json, before: WorkloadConfig, restores: Restore[]): Turns<Json> {
  const { listeners } = wire
  if (!Array.isArray(listeners)) return {}
  const known = new Map(before.listeners.map((listener) => [nameOf(listener), listener.routes]))
  const reduced: unknown[] = []
  for (const [i, listener] of (listeners as readonly unknown[]).entries()) {
    const routes = isObject(listener) ? listener['routes'] : undefined
    const earlier = isObject(listener) ? known.get(nameOf(listener)) : undefined
    if (!Array.isArray(routes) || earlier === undefined) {
      reduced.push(listener)
      continue
    }
    const { changed, whole } = yield* withoutSame(routes, earlier, 'id')
    restores.push((config) => {
      const listener = config.listeners[i]!
      listener.routes = whole(listener.routes)
    })
    reduced.push({ ...(listener as Json), routes: changed })
  }
  return { listeners: reduced }
}

function* reduceOutbound(wire: Json, before: WorkloadConfig, restores: Restore[]): Turns<Json> {
  const { outbound } = wire
  if (!isObject(outbound) || !Array.isArray(outbound['services'])) return {}
  const { changed, whole } = yield* withoutSame(outbound['services'], before.outbound.services, 'upstream')
  restores.push((config) => {
    config.outbound.services = whole(config.outbound.services)
  })
  return { outbound: { ...outbound, services: changed } }
}

function reduceUpstreams(wire: Json, before: WorkloadConfig, restores: Restore[]): Json {
  const kept = new Map<string, Upstream>()
  for (const [name, upstream] of Object.entries(before.upstreams)) {
    if (Object.hasOwn(wire, name) && isSame(wire[name], upstream)) kept.set(name, upstream)
  }
  restores.push((config) => {
    config.upstreams = { ...config.upstreams, ...Object.fromEntries(kept) }
  })
  return Object.fromEntries(Object.entries(wire).filter(([name]) => !kept.has(name)))
}

/** Those that are not among the earlier ones, and how to put all together again once these were read. */
function* withoutSame<Part extends Json>(
  now: readonly unknown[],
  earlier: readonly Part[],
  key: string,
): Turns<{ readonly changed: readonly unknown[]; readonly whole: (read: readonly Part[]) => Part[] }> {
  const placeOf = findIn(earlier, key)
  const kept: (Part | undefined)[] = []
  for (const [at, part] of now.entries()) {
    if (at > 0 && at % PARTS_A_TURN === 0) yield
    const place = isObject(part) ? placeOf(part, at) : undefined
    kept.push(place === undefined ? undefined : earlier[place])
  }
  const changed = now.filter((_, at) => kept[at] === undefined)
  const whole = (read: readonly Part[]): Part[] => {
    let next = 0
    return kept.map((each) => each ?? read[next++]!)
  }
  return { changed, whole }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
