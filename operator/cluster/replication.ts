import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Authority } from '../identity/authority.ts'
import type { Member } from '../identity/rotation/advance.ts'
import { operatorMember } from '../identity/rotation/members.ts'
import type { ServerIdentity } from '../identity/server-identity.ts'
import { type AcknowledgementTable, createAcknowledgementTable } from '../push/acknowledgements.ts'
import { type Everyone, everyoneOf } from '../replicas/everyone.ts'
import { createReplicaClient, type ReplicaAddress } from '../replicas/replica-client.ts'
import { createReplicaServer, type ReplicaServer } from '../replicas/replica-server.ts'
import { createReplicaTable, type ReplicaTable } from '../replicas/replica-table.ts'
import { createDryRunTable, type DryRunTable } from '../status/dry-run-counts.ts'

/** What this operator's sidecars said, what every operator's did, and how the one that leads comes to know it. */
export interface Replication {
  readonly own: { readonly acknowledgements: AcknowledgementTable; readonly dryRuns: DryRunTable }
  readonly everyone: Everyone
  readonly others: ReplicaTable
  /** For the mesh server. */
  readonly server: ReplicaServer
  /** Who is to be told; undefined: nobody, for nobody else leads. */
  tell(leader: ReplicaAddress | undefined): void
  /** This operator, as the replacement of roots counts it. */
  self(): Member
  /** What is known of this operator may have changed. */
  touch(): void
  close(): void
}

export interface ReplicationOptions {
  /** The name of this operator's pod. */
  readonly name: string
  readonly release: string
  readonly spiffeId: SpiffeId
  readonly authority: Authority
  readonly identity: () => ServerIdentity
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
}

export function createReplication(options: ReplicationOptions): Replication {
  const { name, release, spiffeId, authority, identity, clock, random, log, metrics } = options
  const own = { acknowledgements: createAcknowledgementTable(), dryRuns: createDryRunTable() }
  const others = createReplicaTable({ clock, log })
  const { telling, told } = replicaMetrics(metrics)
  others.onChange(() => told.set(others.replicas().filter(({ connected }) => connected).length))
  const self = () => operatorMember(name, authority, identity())
  const client = createReplicaClient({
    replica: name,
    release,
    own,
    self() {
      const { trusts, root } = self()
      return { trusts: [...(trusts ?? [])], ...(root !== undefined && { root }) }
    },
    identity,
    spiffeId,
    trustDomain: authority.trustDomain,
    onConnected: (connected) => telling.set(connected ? 1 : 0),
    clock,
    random,
    log,
  })
  return {
    own,
    everyone: everyoneOf(own, others),
    others,
    server: createReplicaServer({ spiffeId, table: others, clock, log }),
    tell: (leader) => client.follow(leader),
    self,
    touch: () => client.touch(),
    close: () => client.close(),
  }
}

function replicaMetrics(metrics: Metrics) {
  return {
    telling: metrics
      .gauge({
        name: 'hauberk_replica_connected',
        help: '1 while this replica tells the one that leads what it knows.',
      })
      .handle(),
    told: metrics
      .gauge({ name: 'hauberk_replicas', help: 'Other replicas that tell this one what they know, while it leads.' })
      .handle(),
  }
}
