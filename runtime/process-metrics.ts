import type { Metrics } from './metrics.ts'

/**
 * Adds what the process itself costs, under the names Prometheus' own client libraries use. Read on each scrape only:
 * the client library's default collection keeps a 10 ms timer running for the event loop's lag.
 */
export function addProcessMetrics(metrics: Metrics): void {
  const cpu = metrics.counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time spent, in seconds.',
  })
  const start = metrics.gauge({
    name: 'process_start_time_seconds',
    help: 'Start time of the process since the Unix epoch, in seconds.',
  })
  const resident = metrics.gauge({ name: 'process_resident_memory_bytes', help: 'Resident memory, in bytes.' })
  const version = metrics.gauge({ name: 'nodejs_version_info', help: 'The runtime, as a label.', labels: ['version'] })

  start.handle().set(Math.round(performance.timeOrigin) / 1000)
  version.handle({ version: process.version }).set(1)
  metrics.beforeScrape(() => {
    const { user, system } = process.cpuUsage()
    const spent = cpu.handle()
    spent.add((user + system) / 1_000_000 - spent.value)
    resident.handle().set(process.memoryUsage.rss())
  })
  addThreadMetrics(metrics)
}

/** The part of it that each thread has for itself. */
export function addThreadMetrics(metrics: Metrics): void {
  const heap = metrics.gauge({ name: 'nodejs_heap_size_used_bytes', help: 'Heap in use, in bytes.' })
  const external = metrics.gauge({
    name: 'nodejs_external_memory_bytes',
    help: 'Memory of buffers and C++ objects, in bytes.',
  })
  const busy = metrics.gauge({
    name: 'nodejs_eventloop_utilization',
    help: 'Share of the time since the previous scrape in which the event loop was busy, 0 to 1.',
    together: 'max',
  })
  let previous = performance.eventLoopUtilization()

  metrics.beforeScrape(() => {
    const memory = process.memoryUsage()
    heap.handle().set(memory.heapUsed)
    external.handle().set(memory.external)
    const current = performance.eventLoopUtilization()
    busy.handle().set(performance.eventLoopUtilization(current, previous).utilization)
    previous = current
  })
}
