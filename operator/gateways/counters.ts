import type { CounterHandle, Metrics } from '../../runtime/metrics.ts'

export interface GatewayCounters {
  readonly applied: CounterHandle
  readonly deleted: CounterHandle
  readonly statuses: CounterHandle
  readonly failures: CounterHandle
}

/** Registers them, once a process: an operator may lead more than once. */
export function gatewayCounters(metrics: Metrics): GatewayCounters {
  const writes = metrics.counter({
    name: 'hauberk_gateway_writes_total',
    help: 'Objects applied and deleted for Gateways, statuses of Gateways and GatewayClasses written, and attempts that failed.',
    labels: ['what'],
  })
  return {
    applied: writes.handle({ what: 'apply' }),
    deleted: writes.handle({ what: 'delete' }),
    statuses: writes.handle({ what: 'status' }),
    failures: writes.handle({ what: 'failure' }),
  }
}
