import type { Metrics } from '../../runtime/metrics.ts'

/** The metrics of all reflectors of a process. */
export interface ReflectorMetrics {
  /** Those of one kind, or of another name that says what is mirrored. */
  of(kind: string): ReflectorCounters
}

/** What one reflector counts. */
export interface ReflectorCounters {
  list(): void
  watch(): void
  events(count: number): void
  /** `reason` is that of the `KubernetesError`. */
  error(reason: string): void
  objects(count: number): void
  /** When the API server last said that nothing is missing here, in milliseconds since the epoch. */
  seen(nowMs: number): void
}

export function createReflectorMetrics(metrics: Metrics): ReflectorMetrics {
  const lists = metrics.counter({
    name: 'hauberk_kubernetes_lists_total',
    help: 'Lists of the API server that were begun, by kind.',
    labels: ['kind'],
  })
  const watches = metrics.counter({
    name: 'hauberk_kubernetes_watches_total',
    help: 'Watches of the API server that were begun, by kind.',
    labels: ['kind'],
  })
  const events = metrics.counter({
    name: 'hauberk_kubernetes_events_total',
    help: 'Changes and bookmarks that watches told, by kind.',
    labels: ['kind'],
  })
  const errors = metrics.counter({
    name: 'hauberk_kubernetes_errors_total',
    help: 'Lists and watches that failed, by kind and reason.',
    labels: ['kind', 'reason'],
  })
  const objects = metrics.gauge({
    name: 'hauberk_kubernetes_objects',
    help: 'Objects of the API server that are known, by kind.',
    labels: ['kind'],
  })
  const seen = metrics.gauge({
    name: 'hauberk_kubernetes_seen_seconds',
    help: 'When the API server last told the state of a kind, in seconds since 1970.',
    labels: ['kind'],
  })
  return {
    of(kind) {
      const own = { kind }
      const of = {
        lists: lists.handle(own),
        watches: watches.handle(own),
        events: events.handle(own),
        objects: objects.handle(own),
        seen: seen.handle(own),
      }
      return {
        list: () => of.lists.add(),
        watch: () => of.watches.add(),
        events: (count) => of.events.add(count),
        error: (reason) => errors.handle({ kind, reason }).add(),
        objects: (count) => of.objects.set(count),
        seen: (nowMs) => of.seen.set(nowMs / 1_000),
      }
    },
  }
}
