/** An operator with the resources that it is handed, for one gateway. Started by `operator.ts`. */
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { describeIssue } from '../../model/result.ts'
import { parseTrustDomain } from '../../model/spiffe-id.ts'
import { NO_AUDIT } from '../../operator/audit/audit.ts'
import { startCore } from '../../operator/core.ts'
import { openAuthority } from '../../operator/identity/authority.ts'
import { createFileCaStore } from '../../operator/identity/ca-store.ts'
import { createSvidAuthenticator } from '../../operator/identity/svid-caller.ts'
import { createAcknowledgementTable } from '../../operator/push/acknowledgements.ts'
import { createDryRunTable } from '../../operator/status/dry-run-counts.ts'
import { createStore } from '../../operator/store/store.ts'
import { systemClock as clock } from '../../runtime/clock.ts'
import { createLog } from '../../runtime/log.ts'
import { createFileSink } from '../../runtime/log-sink.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { OperatorAnswer, OperatorAsk, OperatorSettings } from './operator.ts'

// On the generator's core, whose requests are not to wait for it: a real operator has a machine of its own.
setPriority(constants.priority.PRIORITY_LOW)

const store = createStore()
const say = (answer: OperatorAnswer) => void process.send?.(answer)

async function start({ resources, directory, port, trustDomain: name }: OperatorSettings): Promise<void> {
  const trustDomain = parseTrustDomain(name)
  if (!trustDomain.ok) throw new Error(`${name} is no trust domain`)
  const log = createLog({ level: 'warn', service: 'operator', sink: createFileSink({ fd: 1, clock }), clock })
  const keyStore = createFileCaStore(join(directory, 'ca'))
  const authority = await openAuthority({
    store: keyStore,
    trustDomain: trustDomain.value,
    clock,
    log,
  })
  store.apply(resources.map((resource) => ({ type: 'set', resource })))
  store.synced()
  const acknowledgements = createAcknowledgementTable()
  const dryRuns = createDryRunTable()
  const core = await startCore({
    store,
    authority,
    keyStore,
    authenticator: createSvidAuthenticator(trustDomain.value, clock),
    listen: { host: '127.0.0.1', port },
    own: { acknowledgements, dryRuns },
    everyone: { acknowledgements, dryRunsOf: dryRuns.of },
    onChange() {},
    audit: NO_AUDIT,
    clock,
    log,
    metrics: createMetrics(),
  })
  const reports = [...(core.operation.translation()?.reports.values() ?? [])]
  const issues = reports.flatMap((report) => report.issues.map(describeIssue)).slice(0, 10)
  say({ type: 'started', spiffeId: core.spiffeId, issues })
}

process.on('message', (message) => {
  const ask = message as OperatorAsk
  if (ask.type === 'edit') {
    store.apply([{ type: 'set', resource: ask.resource }])
    return say({ type: 'edited' })
  }
  start(ask.settings).catch((error: unknown) => {
    process.stderr.write(`operator: ${(error as Error).stack}\n`)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit())
