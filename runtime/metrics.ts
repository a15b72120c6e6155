import { Registry } from '@prometheus-io/client'

/** The metrics of one process. */
export interface Metrics {
  /** Something that only goes up; by convention its name ends in `_total`. */
  counter<L extends string = never>(options: MetricOptions<L>): Counter<L>
  /** Something that goes both ways. */
  gauge<L extends string = never>(options: MetricOptions<L>): Gauge<L>
  /** A distribution: durations in seconds, sizes in bytes. */
  histogram<L extends string = never>(options: HistogramOptions<L>): Histogram<L>
  /** Calls `refresh` before each exposition: for values that are cheaper to ask for than to keep. */
  beforeScrape(refresh: () => void): void
  /** Everything as values, for those who {@link include} it. */
  snapshot(): MetricsSnapshot
  /** Adds to each series what others say of it, each time somebody asks: the workers of a process are one to whoever looks. */
  include(others: () => Promise<readonly MetricsSnapshot[]>): void
  /** Everything, in the Prometheus text format. */
  text(): Promise<string>
  /** The Content-Type of `text()`. */
  readonly contentType: string
}

/** The samples of each metric, by its name. It can be posted to another thread. */
export type MetricsSnapshot = ReadonlyMap<string, MetricSnapshot>

export interface MetricSnapshot {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly Sample[]
}

/** One line of the exposition. */
export interface Sample {
  /** Where it is not that of the metric: `..._bucket`. */
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** A metric's name, meaning and bounds. A name taken twice or malformed is a mistake in the program and throws. */
export interface MetricOptions<L extends string> {
  /** In full: `hauberk_requests_total`. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly L[]
  /**
   * Series this metric may have at once; the rest share one whose labels all say `overflow`. Default 1,000.
   */
  readonly maxSeries?: number
  /** What several workers say comes to. Default: their sum. */
  readonly together?: 'sum' | 'max'
}

export interface HistogramOptions<L extends string> extends MetricOptions<L> {
  /** Upper bounds, ascending, without +Inf. Default: 1 ms to 10 s in steps of about 2, in seconds. */
  readonly buckets?: readonly number[]
}

/** A value for each label, or nothing at all for a metric without labels. */
export type LabelArguments<L extends string> = [L] extends [never] ? [] : [labels: Readonly<Record<L, string>>]

/** The series of one metric. */
export interface Family<L extends string, H> {
  /**
   * The series with these labels, made when it is new. Resolve it when configuration arrives and keep it: the handle is
   * what makes counting cheap. A value longer than 256 characters is cut. With `maxSeries` reached, every new
   * combination gets the one `overflow` series, and `hauberk_metrics_overflow_total` counts it.
   */
  handle(...labels: LabelArguments<L>): H
  /** Forgets a series. Its handles keep working, unseen. */
  remove(...labels: LabelArguments<L>): void
}

export interface CounterHandle {
  /** Adds `amount` (default 1). Negative and non-finite amounts are ignored. */
  add(amount?: number): void
  readonly value: number
}

export interface GaugeHandle {
  set(value: number): void
  add(amount: number): void
  readonly value: number
}

export interface HistogramHandle {
  /** Non-finite values are ignored. */
  observe(value: number): void
  readonly count: number
  readonly sum: number
}

export type Counter<L extends string = never> = Family<L, CounterHandle>
export type Gauge<L extends string = never> = Family<L, GaugeHandle>
export type Histogram<L extends string = never> = Family<L, HistogramHandle>

/** Durations between a local hop and a slow backend, in seconds. */
export const DURATION_BUCKETS_SECONDS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

/**
 * An empty set of metrics.
 *
 * The numbers live here, in plain fields behind pre-resolved handles; the client library holds their names, escapes and
 * renders them. Its own counters hash and check the labels on every increment, which the request path cannot afford.
 */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const refreshers: (() => void)[] = []
  const names = new Set<string>()
  const collectors = new Map<string, () => MetricSnapshot>()
  let askOthers: (() => Promise<readonly MetricsSnapshot[]>) | undefined
  /** What they said last: {@link Metrics.text} asks before it renders. */
  let others: readonly MetricsSnapshot[] = []

  function family<L extends string, H>(
    kind: 'counter' | 'gauge' | 'histogram',
    { name, help, labels = [], maxSeries = DEFAULT_MAX_SERIES, together = 'sum' }: MetricOptions<L>,
    create: () => H,
    render: (handle: H, labels: Labels) => Sample[],
  ): Family<L, H> {
    if (!METRIC_NAME.test(name)) throw new Error(`malformed metric name ${name}`)
    if (names.has(name)) throw new Error(`the metric ${name} exists already`)
    for (const label of labels) {
      if (!LABEL_NAME.test(label) || label === 'le') throw new Error(`malformed label ${label} of metric ${name}`)
    }
    names.add(name)
    const series = new Map<string, { readonly labels: Labels; readonly handle: H }>()
    const overflowLabels = Object.fromEntries(labels.map((label) => [label, OVERFLOW]))
    let overflow: H | undefined

    const collect = () => {
      const values = [...series.values()].flatMap((one) => render(one.handle, one.labels))
      if (overflow !== undefined) values.push(...render(overflow, overflowLabels))
      return values
    }
    collectors.set(name, () => ({ kind, samples: collect() }))
    const everybodys = () => {
      const theirs = others.flatMap((snapshot) => snapshot.get(name)?.samples ?? [])
      return theirs.length === 0 ? collect() : addUp([...collect(), ...theirs], together)
    }
    const get = async () => ({ name, help, type: kind, aggregator: 'sum', values: everybodys() })
    register(registry, { name, help, type: kind, aggregator: 'sum', get })

    const result: Family<L, H> = {
      handle(...[given]: readonly unknown[]) {
        const own = ownLabels(labels, given)
        const key = seriesKey(own)
        const known = series.get(key)
        if (known) return known.handle
        if (series.size < maxSeries) {
          const handle = create()
          series.set(key, { labels: own, handle })
          return handle
        }
        countOverflow(name)
        overflow ??= create()
        return overflow
      },
      remove(...[given]: readonly unknown[]) {
        series.delete(seriesKey(ownLabels(labels, given)))
      },
    }
    if (labels.length === 0) (result as Family<never, H>).handle()
    return result
  }

  const counter = <L extends string>(options: MetricOptions<L>): Counter<L> =>
    family('counter', options, createCounter, ({ value }, labels) => [{ labels, value }])

  const overflows = counter({
    name: 'hauberk_metrics_overflow_total',
    help: 'Series that were asked for after a metric had reached its maximum, by metric.',
    labels: ['metric'],
  })
  const countOverflow = (metric: string) => overflows.handle({ metric }).add()

  return {
    counter,
    gauge: (options) => family('gauge', options, createGauge, ({ value }, labels) => [{ labels, value }]),
    histogram(options) {
      const bounds = Float64Array.from(options.buckets ?? DURATION_BUCKETS_SECONDS)
      if (!bounds.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > bounds[i - 1]!))) {
        throw new Error(`the buckets of ${options.name} are not ascending`)
      }
      return family(
        'histogram',
        options,
        () => createHistogram(bounds),
        (handle, labels) => renderHistogram(options.name, handle, bounds, labels),
      )
    },
    beforeScrape(refresh) {
      refreshers.push(refresh)
    },
    snapshot() {
      for (const refresh of refreshers) refresh()
      return new Map([...collectors].map(([name, collect]) => [name, collect()]))
    },
    include(ask) {
      askOthers = ask
    },
    async text() {
      if (askOthers !== undefined) others = await askOthers()
      for (const refresh of refreshers) refresh()
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}

/**
 * What several snapshots come to, less what is over with whoever took them: of those that are gone, the counters stay, for a
 * counter never goes back.
 */
export function countersOf(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const samples = new Map<string, { readonly kind: MetricSnapshot['kind']; readonly samples: Sample[] }>()
  for (const snapshot of snapshots) {
    for (const [name, { kind, samples: own }] of snapshot) {
      if (kind === 'gauge') continue
      const known = samples.get(name)
      if (known === undefined) samples.set(name, { kind, samples: [...own] })
      else known.samples.push(...own)
    }
  }
  return new Map([...samples].map(([name, one]) => [name, { ...one, samples: addUp(one.samples, 'sum') }]))
}

/** One sample for all that have the same name and labels, in the order in which they came first. */
function addUp(samples: readonly Sample[], together: 'sum' | 'max'): Sample[] {
  const sums = new Map<string, Sample>()
  for (const sample of samples) {
    const { metricName = '', labels, value } = sample
    const key = JSON.stringify([metricName, ...Object.values(labels)])
    const known = sums.get(key)
    if (known === undefined) sums.set(key, sample)
    else sums.set(key, { ...known, value: together === 'sum' ? known.value + value : Math.max(known.value, value) })
  }
  return [...sums.values()]
}

type Labels = Readonly<Record<string, string>>

interface Source {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly aggregator: string
  get(): Promise<Omit<Source, 'get'> & { readonly values: readonly Sample[] }>
}

/** The library's registry asks a metric for `name`, `type` and `get()`, and so do its own aggregated ones; its types ask for more. */
function register(registry: Registry, source: Source): void {
  registry.registerMetric(source as unknown as Parameters<Registry['registerMetric']>[0])
}

function createCounter(): CounterHandle {
  return {
    value: 0,
    add(amount = 1) {
      if (amount >= 0 && amount < Number.POSITIVE_INFINITY) (this as { value: number }).value += amount
    },
  }
}

function createGauge(): GaugeHandle {
  return {
    value: 0,
    set(value) {
      ;(this as { value: number }).value = value
    },
    add(amount) {
      ;(this as { value: number }).value += amount
    },
  }
}

interface HistogramState extends HistogramHandle {
  /** By upper bound, not cumulative; the last is +Inf. */
  readonly counts: Float64Array
}

function createHistogram(bounds: Float64Array): HistogramState {
  const counts = new Float64Array(bounds.length + 1)
  let sum = 0
  let count = 0
  return {
    counts,
    observe(value) {
      if (!Number.isFinite(value)) return
      let i = 0
      while (i < bounds.length && value > bounds[i]!) i += 1
      counts[i]! += 1
      sum += value
      count += 1
    },
    get sum() {
      return sum
    },
    get count() {
      return count
    },
  }
}

function renderHistogram(name: string, handle: HistogramState, bounds: Float64Array, labels: Labels): Sample[] {
  let below = 0
  const samples: Sample[] = []
  for (const [i, bound] of bounds.entries()) {
    below += handle.counts[i]!
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: below })
  }
  samples.push(
    { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: handle.count },
    { metricName: `${name}_sum`, labels, value: handle.sum },
    { metricName: `${name}_count`, labels, value: handle.count },
  )
  return samples
}

/** The declared labels in their declared order, cut to length; one that was not given is empty, as Prometheus has it. */
function ownLabels(names: readonly string[], given: unknown): Labels {
  const values = (given ?? {}) as Readonly<Record<string, string | undefined>>
  return Object.fromEntries(names.map((name) => [name, (values[name] ?? '').slice(0, MAX_LABEL_LENGTH)]))
}

/** Unambiguous whatever the values contain. */
function seriesKey(labels: Labels): string {
  let key = ''
  for (const value of Object.values(labels)) key += `${value.length}:${value}`
  return key
}

const OVERFLOW = 'overflow'
const DEFAULT_MAX_SERIES = 1_000
const MAX_LABEL_LENGTH = 256
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^[a-zA-Z][a-zA-Z0-9_]*$/
