import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countersOf, createMetrics } from './metrics.ts'
import { addProcessMetrics } from './process-metrics.ts'

const linesOf = async (metrics: { text(): Promise<string> }, name: string) =>
  (await metrics.text()).split('\n').filter((line) => line.startsWith(name))

test('a counter is exposed with its help, type and labels', async () => {
  const metrics = createMetrics()
  const requests = metrics.counter({ name: 'hauberk_requests_total', help: 'Requests.', labels: ['service', 'status'] })
  requests.handle({ service: 'orders', status: '200' }).add()
  requests.handle({ status: '200', service: 'orders' }).add(2)
  const text = await metrics.text()
  assert.match(text, /^# HELP hauberk_requests_total Requests\.$/m)
  assert.match(text, /^# TYPE hauberk_requests_total counter$/m)
  assert.match(text, /^hauberk_requests_total\{service="orders",status="200"\} 3$/m)
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
})

test('a metric without labels is there from the start, as 0', async () => {
  const metrics = createMetrics()
  metrics.counter({ name: 'hauberk_things_total', help: 'Things.' })
  assert.deepEqual(await linesOf(metrics, 'hauberk_things_total'), ['hauberk_things_total 0'])
})

test('the same labels give the same handle', () => {
  const counter = createMetrics().counter({ name: 'c_total', help: 'C.', labels: ['a', 'b'] })
  assert.equal(counter.handle({ a: '1', b: '2' }), counter.handle({ b: '2', a: '1' }))
  assert.notEqual(counter.handle({ a: '1:1', b: '' }), counter.handle({ a: '1', b: '1:' }))
})

test('a counter never goes down', () => {
  const counter = createMetrics().counter({ name: 'c_total', help: 'C.' }).handle()
  counter.add(5)
  counter.add(-1)
  counter.add(Number.NaN)
  counter.add(Number.POSITIVE_INFINITY)
  assert.equal(counter.value, 5)
})

test('a gauge goes both ways and can be refreshed when somebody looks', async () => {
  const metrics = createMetrics()
  const gauge = metrics.gauge({ name: 'hauberk_age_seconds', help: 'Age.' }).handle()
  let age = 1
  metrics.beforeScrape(() => gauge.set(age))
  assert.deepEqual(await linesOf(metrics, 'hauberk_age_seconds'), ['hauberk_age_seconds 1'])
  age = 7
  assert.deepEqual(await linesOf(metrics, 'hauberk_age_seconds'), ['hauberk_age_seconds 7'])
  gauge.add(-10)
  assert.equal(gauge.value, -3)
})

test('a histogram is exposed with cumulative buckets', async () => {
  const metrics = createMetrics()
  const histogram = metrics.histogram({ name: 'h_seconds', help: 'H.', labels: ['service'], buckets: [0.1, 1] })
  const handle = histogram.handle({ service: 'orders' })
  for (const value of [0.1, 0.05, 0.5, 3, Number.NaN]) handle.observe(value)
  assert.deepEqual(await linesOf(metrics, 'h_seconds'), [
    'h_seconds_bucket{service="orders",le="0.1"} 2',
    'h_seconds_bucket{service="orders",le="1"} 3',
    'h_seconds_bucket{service="orders",le="+Inf"} 4',
    'h_seconds_sum{service="orders"} 3.65',
    'h_seconds_count{service="orders"} 4',
  ])
})

test('a label value cannot break out of its quotes', async () => {
  const metrics = createMetrics()
  metrics
    .counter({ name: 'c_total', help: 'C.', labels: ['path'] })
    .handle({ path: '"} 1\nevil_total{x="\\' })
    .add()
  assert.deepEqual(await linesOf(metrics, 'c_total'), ['c_total{path="\\"} 1\\nevil_total{x=\\"\\\\"} 1'])
})

test('an overfilled metric keeps its bound: what is new shares one series, and that is counted', async () => {
  const metrics = createMetrics()
  const counter = metrics.counter({ name: 'c_total', help: 'C.', labels: ['rule'], maxSeries: 10 })
  for (let i = 0; i < 1_000; i++) counter.handle({ rule: `rule-${i}` }).add()
  for (let i = 0; i < 1_000; i++) counter.handle({ rule: `rule-${i}` }).add()
  const lines = await linesOf(metrics, 'c_total')
  assert.equal(lines.length, 11)
  assert.ok(lines.includes('c_total{rule="rule-9"} 2'))
  assert.ok(lines.includes('c_total{rule="overflow"} 1980'))
  assert.deepEqual(await linesOf(metrics, 'hauberk_metrics_overflow_total'), [
    'hauberk_metrics_overflow_total{metric="c_total"} 1980',
  ])
})

test('an overlong label value is cut', async () => {
  const metrics = createMetrics()
  metrics
    .counter({ name: 'c_total', help: 'C.', labels: ['name'] })
    .handle({ name: 'x'.repeat(10_000) })
    .add()
  assert.ok((await metrics.text()).length < 1_000)
})

test('a removed series makes room, and its handle still works', async () => {
  const metrics = createMetrics()
  const gauge = metrics.gauge({ name: 'g', help: 'G.', labels: ['policy'], maxSeries: 1 })
  const gone = gauge.handle({ policy: 'a' })
  gauge.remove({ policy: 'a' })
  gone.set(1)
  gauge.handle({ policy: 'b' }).set(2)
  assert.deepEqual(await linesOf(metrics, 'g{'), ['g{policy="b"} 2'])
})

test('a name is given once, and malformed names are refused', () => {
  const metrics = createMetrics()
  metrics.counter({ name: 'c_total', help: 'C.' })
  assert.throws(() => metrics.gauge({ name: 'c_total', help: 'C.' }), /exists already/)
  assert.throws(() => metrics.gauge({ name: 'a-b', help: 'C.' }), /malformed/)
  assert.throws(() => metrics.gauge({ name: 'g', help: 'C.', labels: ['a b'] }), /malformed/)
  assert.throws(() => metrics.histogram({ name: 'h', help: 'H.', buckets: [1, 1] }), /ascending/)
})

test('the process says what it costs', async () => {
  const metrics = createMetrics()
  addProcessMetrics(metrics)
  const value = async (name: string) => Number((await linesOf(metrics, `${name} `))[0]?.split(' ')[1])
  const cpuBefore = await value('process_cpu_seconds_total')
  assert.ok(cpuBefore > 0)
  assert.ok((await value('process_cpu_seconds_total')) >= cpuBefore)
  assert.ok((await value('process_resident_memory_bytes')) > 10_000_000)
  assert.ok((await value('nodejs_eventloop_utilization')) <= 1)
  const started = await value('process_start_time_seconds')
  assert.ok(started > Date.now() / 1000 - 600 && started <= Date.now() / 1000)
})

test('what workers say is added up, series by series, and the busiest is the one that counts', async () => {
  const create = () => {
    const metrics = createMetrics()
    return {
      metrics,
      requests: metrics.counter({ name: 'c_total', help: 'C.', labels: ['route'] }),
      busy: metrics.gauge({ name: 'busy', help: 'B.', together: 'max' }).handle(),
      durations: metrics.histogram({ name: 'h_seconds', help: 'H.', buckets: [1] }).handle(),
    }
  }
  const [first, second] = [create(), create()]
  first.requests.handle({ route: 'a' }).add(1)
  second.requests.handle({ route: 'a' }).add(2)
  second.requests.handle({ route: 'b' }).add(4)
  first.busy.set(0.25)
  second.busy.set(0.75)
  first.durations.observe(0.5)
  second.durations.observe(2)
  first.metrics.include(async () => [structuredClone(second.metrics.snapshot())])
  const text = (await first.metrics.text()).split('\n')
  for (const line of [
    ...['c_total{route="a"} 3', 'c_total{route="b"} 4', 'busy 0.75', 'h_seconds_count 2', 'h_seconds_sum 2.5'],
    ...['h_seconds_bucket{le="1"} 1', 'h_seconds_bucket{le="+Inf"} 2'],
  ]) {
    assert.ok(text.includes(line), line)
  }
})

test('of those that are gone the counters stay, and the gauges go', () => {
  const metrics = createMetrics()
  metrics.counter({ name: 'c_total', help: 'C.' }).handle().add(2)
  metrics.gauge({ name: 'g', help: 'G.' }).handle().set(2)
  const kept = countersOf([metrics.snapshot(), metrics.snapshot()])
  assert.deepEqual(kept.get('c_total')?.samples, [{ labels: {}, value: 4 }])
  assert.equal(kept.has('g'), false)
})
