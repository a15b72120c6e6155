import { createHash } from 'node:crypto'
import { versionOf } from '../contract/codec.ts'
import type { KeysDocument } from '../contract/keys.ts'
import { MAX_REVOCATIONS } from '../contract/revocations.ts'
import { CONTRACT_VERSION } from '../contract/workload-config.ts'
import type { WorkloadId } from '../model/workload-id.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { judgeKeyPair } from './gateways/judge-key-pair.ts'
import type { IssuerKeysStore } from './keys/issuer-keys.ts'
import type { Acknowledgements } from './push/acknowledgements.ts'
import type { DesiredDocuments } from './push/desired.ts'
import type { DryRunCount } from './push/push.ts'
import { createCurrentRevocations } from './revocations.ts'
import { type ResourceStatus, statusOf, type WorkloadStanding } from './status/conditions.ts'
import type { DryRunTable } from './status/dry-run-counts.ts'
import { standingOf } from './status/standing.ts'
import type { Store } from './store/store.ts'
import { type ConditionFound, type ResourceReport, refused } from './translate/report.ts'
import { type Translation, translate } from './translate/translate.ts'

/** The loop: what the store holds, translated, and who is to be told. */
export interface Operation {
  /** Translates what there is, and from then on after each change. */
  start(): void
  /** Something that is no resource has changed: the roots. Translates again, a moment later. */
  refresh(): void
  /** The newest translation; undefined until the store is synced. */
  translation(): Translation | undefined
  desired(workload: string): DesiredDocuments | undefined
  /** Whether any workload or gateway of the mesh has this identity now. */
  isWanted(spiffeId: string): boolean
  /** Of every resource, or of those of some kinds. */
  statuses(kinds?: ReadonlySet<string>): readonly ReportedStatus[]
  /** Takes what the dry runs of a workload's sidecar would have denied. What it says of policies that do not reach it is dropped. */
  countDryRuns(workload: string, counts: readonly DryRunCount[]): void
  close(): void
}

export interface ReportedStatus {
  readonly report: ResourceReport
  readonly status: ResourceStatus
  /** Of the workloads that enforce it, in their order in the report. */
  readonly standings: readonly WorkloadStanding[]
}

export interface OperationOptions {
  readonly store: Store
  /** PEM; the one that signs first. */
  readonly roots: () => readonly string[]
  /** Fingerprints. Default: none. */
  readonly distrustedRoots?: () => readonly string[]
  readonly issuerKeys: Pick<IssuerKeysStore, 'keysOf'>
  readonly acknowledgements: Acknowledgements
  /** What was counted here. */
  readonly dryRuns: DryRunTable
  /** What was counted anywhere: what statuses say. Default: here. */
  readonly dryRunsOf?: DryRunTable['of']
  /** These workloads are to be sent something else than before. */
  readonly onDesired: (workloads: ReadonlySet<string>) => void
  /** The translation changed, for better or worse. */
  readonly onTranslation: (translation: Translation) => void
  readonly clock: Clock
  readonly log: Log
}

/** Milliseconds that changes are gathered: a save touches several files, an apply several resources. */
const GATHER_MS = 20

/** After a translation others have their turn for as long as it took, at most this many milliseconds: webhooks and sidecars wait too. */
const MAX_REST_MS = 500

export function createOperation(options: OperationOptions): Operation {
  const {
    store,
    roots,
    distrustedRoots = () => [],
    issuerKeys,
    acknowledgements,
    dryRuns,
    onDesired,
    onTranslation,
    clock,
    log,
  } = options
  const countsOf = options.dryRunsOf ?? dryRuns.of
  let current: Translation | undefined
  let identities: ReadonlySet<string> = new Set()
  let cancel: (() => void) | undefined
  let restsUntilMs = Number.NEGATIVE_INFINITY
  const keys = new Map<string, { readonly parts: readonly unknown[]; readonly document: KeysDocument }>()

  const act = () => {
    cancel = undefined
    const startedAt = clock.monotonic()
    translateAll(startedAt)
    const endedAt = clock.monotonic()
    restsUntilMs = endedAt + Math.min(endedAt - startedAt, MAX_REST_MS)
  }
  const translateAll = (startedAt: number) => {
    const previous = current
    try {
      current = translate(
        store.snapshot(),
        { sha256, mesh: { roots: roots(), distrustedRoots: distrustedRoots() }, judgeKeyPair },
        previous,
      )
    } catch (err) {
      // A mistake in this program. What holds goes on to hold, and certificates are still issued.
      log.error('translation failed, what was translated before stays', { err })
      return
    }
    identities = new Set([...current.configs.values()].map(({ identity }) => identity.spiffeId))
    for (const workload of keys.keys()) if (!current.configs.has(workload as WorkloadId)) keys.delete(workload)
    const changed = changedWorkloads(previous, current)
    log.info('translated', {
      'hauberk.workloads': current.configs.size,
      'hauberk.translated': current.translated,
      'hauberk.changed': changed.size,
      'event.duration': Math.round((clock.monotonic() - startedAt) * 1_000_000),
    })
    dryRuns.keepOnly(new Set([...current.reports.values()].filter(isPolicy).map(policyName)))
    onTranslation(current)
    if (changed.size > 0) onDesired(changed)
  }
  let stop = () => {}
  /** Only policies are dry-run; a route or an issuer may have the name of one. */
  const dryRunsOf = (report: ResourceReport) =>
    isPolicy(report) ? countsOf(policyName(report), report.generation) : undefined

  const keysFor = (workload: string, issuers: readonly string[]): KeysDocument => {
    const found = issuers.flatMap((name) => {
      const own = issuerKeys.keysOf(name)
      return own === undefined ? [] : [[name, own] as const]
    })
    const parts = found.flat()
    const known = keys.get(workload)
    if (known?.parts.length === parts.length && known.parts.every((part, i) => part === parts[i])) return known.document
    const content = {
      contract: CONTRACT_VERSION,
      issuers: Object.fromEntries(
        found.map(([name, own]) => [name, { keys: own.keys.map((key) => ({ ...key })), fetchedAt: own.fetchedAt }]),
      ),
    } as const
    // When the keys were fetched says nothing new about them: it is not part of the version.
    const version = versionOf(Object.fromEntries(found.map(([name, own]) => [name, own.keys])), sha256)
    const document = { ...content, version }
    keys.set(workload, { parts, document })
    return document
  }

  const currentRevocations = createCurrentRevocations(clock.now, sha256)
  const revocations = () => currentRevocations(current?.revocations ?? NO_REVOCATIONS)
  /** What time says of a TokenRevocation, and how many others there are. */
  const withTime = (report: ResourceReport): ResourceReport => {
    if (report.accepted?.status !== 'True') return report
    const { document, active } = revocations()
    if (!active.has(report.name)) return { ...report, programmed: OVER }
    return document.tooMany === true ? { ...report, programmed: TOO_MANY_REVOCATIONS } : report
  }

  const actSoon = () => {
    cancel ??= clock.setTimer(Math.max(GATHER_MS, Math.ceil(restsUntilMs - clock.monotonic())), act)
  }

  return {
    start() {
      stop = store.onChange(actSoon)
      if (store.isSynced()) act()
    },
    refresh: actSoon,
    translation: () => current,
    isWanted: (spiffeId) => identities.has(spiffeId),
    desired(workload) {
      const id = workload as WorkloadId
      const config = current?.configs.get(id)
      const endpoints = current?.endpoints.get(id)
      if (config === undefined || endpoints === undefined) return undefined
      const issuers = current?.issuers.get(id) ?? []
      return {
        ...{ config, endpoints, keys: keysFor(workload, issuers), issuers },
        ...(issuers.length > 0 && { revocations: revocations().document }),
      }
    },
    statuses(kinds) {
      if (current === undefined) return []
      const { configs, pods, reports } = current
      const standings = new Map<string, WorkloadStanding>()
      const standingFor = (workload: WorkloadId, kind: 'config' | 'revocations'): WorkloadStanding => {
        const known = standings.get(`${kind} ${workload}`)
        if (known !== undefined) return known
        const sessions = acknowledgements.of(workload)
        const config = configs.get(workload)
        const version = kind === 'config' ? config?.version : revocations().document.version
        const standing = standingOf(workload, config, pods.get(workload) ?? [], sessions, { kind, version })
        standings.set(`${kind} ${workload}`, standing)
        return standing
      }
      const wanted = [...reports.values()].filter(({ kind }) => kinds === undefined || kinds.has(kind))
      return wanted.map((report) => {
        const isRevocation = report.kind === 'TokenRevocation'
        const found = report.selected.map((id) => standingFor(id, isRevocation ? 'revocations' : 'config'))
        const told = isRevocation ? withTime(report) : report
        return { report, status: statusOf(told, found, dryRunsOf(report)), standings: found }
      })
    },
    countDryRuns(workload, counts) {
      for (const { origin, rule, wouldDeny } of counts) {
        const [name = ''] = origin.split('@', 1)
        const kind = name.includes('/') ? 'SecurityPolicy' : 'MeshSecurityPolicy'
        const report = current?.reports.get(`${kind}/${name}`)
        const isItsOwn = report?.selected.includes(workload as WorkloadId) === true
        if (isItsOwn && origin === `${name}@${report.generation}`) dryRuns.add(origin, rule, wouldDeny)
      }
    },
    close() {
      stop()
      cancel?.()
    },
  }
}

const NO_REVOCATIONS: Translation['revocations'] = []

const OVER: ConditionFound = refused('Over', 'Every token that it concerns has expired: it can be deleted.')
const TOO_MANY_REVOCATIONS: ConditionFound = refused(
  'TooManyRevocations',
  `There are more TokenRevocations than the ${MAX_REVOCATIONS} that sidecars hold: no token is taken until some are deleted.`,
)

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function isPolicy({ kind }: ResourceReport): boolean {
  return kind === 'SecurityPolicy' || kind === 'MeshSecurityPolicy'
}

function policyName({ namespace, name }: ResourceReport): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

function changedWorkloads(previous: Translation | undefined, next: Translation): ReadonlySet<string> {
  const changed = new Set<string>()
  const isRevoked = previous !== undefined && previous.revocations !== next.revocations
  for (const [id, config] of next.configs) {
    const isSame =
      !(isRevoked && (next.issuers.get(id) ?? []).length > 0) &&
      previous?.configs.get(id)?.version === config.version &&
      previous.endpoints.get(id)?.version === next.endpoints.get(id)?.version &&
      previous.issuers.get(id)?.join(' ') === next.issuers.get(id)?.join(' ')
    if (!isSame) changed.add(id)
  }
  return changed
}
