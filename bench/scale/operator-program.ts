/**
 * The operator under test: `operator/core.ts` as every operator has it, with resources that are handed in where an API
 * server would tell them, and with statuses that are worked out as often as on a cluster. Started by `start-operator.ts`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { resourceKey } from '../../model/resource.ts'
import { describeIssue } from '../../model/result.ts'
import { parseTrustDomain } from '../../model/spiffe-id.ts'
import { NO_AUDIT } from '../../operator/audit/audit.ts'
import { type Core, startCore } from '../../operator/core.ts'
import { openAuthority } from '../../operator/identity/authority.ts'
import { createFileCaStore } from '../../operator/identity/ca-store.ts'
import { createSvidAuthenticator } from '../../operator/identity/svid-caller.ts'
import { createAcknowledgementTable } from '../../operator/push/acknowledgements.ts'
import { createDryRunTable } from '../../operator/status/dry-run-counts.ts'
import { createStore } from '../../operator/store/store.ts'
import { systemClock } from '../../runtime/clock.ts'
import { createLog } from '../../runtime/log.ts'
import { createFileSink } from '../../runtime/log-sink.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { addProcessMetrics } from '../../runtime/process-metrics.ts'
import type { OperatorAnswer, OperatorAsk, OperatorSettings, OperatorUsage } from './operator-messages.ts'
import { resourcesOf, TRUST_DOMAIN } from './world.ts'

const clock = systemClock
const answer = (message: OperatorAnswer) => void process.send?.(message)

/** As long as `operator/status/kubernetes-status.ts` gathers. */
const STATUS_GATHER_MS = 100

const store = createStore()
const acknowledgements = createAcknowledgementTable()
let core: Core | undefined
let awaited: { readonly key: string; readonly generation: number } | undefined
let isTouched = false

async function start({ size, stateDirectory, port, edited }: OperatorSettings): Promise<void> {
  const trustDomain = parseTrustDomain(TRUST_DOMAIN)
  if (!trustDomain.ok) throw new Error(`${TRUST_DOMAIN} is no trust domain`)
  const log = createLog({ level: 'warn', service: 'operator', sink: createFileSink({ fd: 1, clock }), clock })
  const keyStore = createFileCaStore(join(stateDirectory, 'ca'))
  const authority = await openAuthority({
    store: keyStore,
    trustDomain: trustDomain.value,
    clock,
    log,
  })
  store.apply([...resourcesOf(size), ...edited].map((resource) => ({ type: 'set', resource })))
  store.synced()
  const metrics = createMetrics()
  addProcessMetrics(metrics)
  const dryRuns = createDryRunTable()
  core = await startCore({
    store,
    authority,
    keyStore,
    authenticator: createSvidAuthenticator(trustDomain.value, clock),
    listen: { host: '127.0.0.1', port },
    own: { acknowledgements, dryRuns },
    everyone: { acknowledgements, dryRunsOf: dryRuns.of },
    onChange: touch,
    audit: NO_AUDIT,
    clock,
    log,
    metrics,
  })
  acknowledgements.onChange(touch)
  const reports = [...(core.operation.translation()?.reports.values() ?? [])]
  answer({
    type: 'started',
    spiffeId: core.spiffeId,
    issues: reports.flatMap(({ issues }) => issues.map(describeIssue)).slice(0, 10),
  })
}

function touch(): void {
  if (isTouched) return
  isTouched = true
  clock.setTimer(STATUS_GATHER_MS, () => {
    isTouched = false
    review()
  })
}

function review(): void {
  const statuses = core?.operation.statuses() ?? []
  if (awaited === undefined) return
  for (const { report, status } of statuses) {
    if (resourceKey(report.kind, report.namespace, report.name) !== awaited.key) continue
    if (status.observedGeneration < awaited.generation) continue
    const programmed = status.conditions.find(({ type }) => type === 'Programmed')
    if (programmed?.status !== 'True') continue
    awaited = undefined
    answer({ type: 'programmed', atMs: Date.now(), summary: status.workloads?.summary ?? '' })
    return
  }
}

function usage(): OperatorUsage {
  const { rss, heapUsed, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  const peakKilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return {
    rss,
    peakRss: Number(peakKilobytes ?? 0) * 1_024,
    heapUsed,
    youngSpace: getHeapSpaceStatistics().find((each) => each.space_name === 'new_space')?.physical_space_size ?? 0,
    external,
    cpuUs: user + system,
    sessions: acknowledgements.keys().length,
  }
}

/** Twice: what the first one finalises, the second one frees. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
}

async function handle(ask: OperatorAsk): Promise<void> {
  switch (ask.type) {
    case 'start':
      return start(ask.settings)
    case 'edit': {
      const atMs = Date.now()
      store.apply([{ type: 'set', resource: ask.resource }])
      return answer({ type: 'edited', atMs })
    }
    case 'usage':
      if (ask.collect) collectGarbage()
      return answer({ type: 'usage', usage: usage() })
    case 'await-programmed':
      awaited = ask
      return review()
  }
}

process.on('message', (ask) => {
  handle(ask as OperatorAsk).catch((error: unknown) => {
    process.stderr.write(`operator: ${(error as Error).stack}\n`)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit())
