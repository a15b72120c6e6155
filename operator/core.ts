import { lookup } from 'node:dns/promises'
import { INTERNAL_TOKENS } from '../model/internal-tokens.ts'
import { describeIssue } from '../model/result.ts'
import { type SpiffeId, spiffeIdFor, type TrustDomain } from '../model/spiffe-id.ts'
import { pemsOf } from '../model/x509/bundle.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Audit } from './audit/audit.ts'
import { issuerKeysChanged, keyCreated, tokenIssued } from './audit/events.ts'
import { auditedAuthority } from './identity/audited-authority.ts'
import type { Authority } from './identity/authority.ts'
import type { CaStore } from './identity/ca-store.ts'
import { type CallerAuthenticator, onlyWanted } from './identity/caller.ts'
import { createCertificateHandler } from './identity/certificate-handler.ts'
import { createRequestLimit } from './identity/request-limit.ts'
import { issueServerIdentity, keepServerIdentity, type ServerIdentity } from './identity/server-identity.ts'
import { createIssuerKeysStore, type IssuerKeysStore, type KeysOfIssuer } from './keys/issuer-keys.ts'
import { addIssuerMetrics } from './keys/issuer-metrics.ts'
import { issuerSources } from './keys/issuer-sources.ts'
import { connectToMesh } from './keys/mesh-connect.ts'
import { createOperation, type Operation } from './operation.ts'
import type { Acknowledgements, AcknowledgementTable } from './push/acknowledgements.ts'
import { createPush, type Push, pushMetrics } from './push/push.ts'
import { secretText } from './resources/secret.ts'
import { type MeshServer, type MeshServerOptions, type PeerSessions, startMeshServer } from './serve/mesh-server.ts'
import { servingNamesOf } from './serve/serving-names.ts'
import type { DryRunTable } from './status/dry-run-counts.ts'
import type { Store } from './store/store.ts'
import { createGrants } from './tokens/grants.ts'
import { openSigningKeys, type SigningKeys } from './tokens/signing-keys.ts'
import { createTokenHandler, tokenMetrics } from './tokens/token-handler.ts'
import { createTokenService } from './tokens/token-service.ts'
import { destinationOf } from './translate/destination.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from './translate/gateways.ts'
import { egressNames, meshSettingsOf } from './translate/mesh-settings.ts'
import type { Translation } from './translate/translate.ts'

/**
 * What every operator does, wherever its resources come from: it translates them, sends each sidecar its own, fetches the
 * keys of token issuers and issues certificates.
 */
export interface Core {
  readonly operation: Operation
  readonly issuerKeys: IssuerKeysStore
  readonly server: MeshServer
  /** See {@link Push.look}. */
  readonly look: Push['look']
  /** The operator's own SPIFFE id. */
  readonly spiffeId: SpiffeId
  /** The operator's certificate and the roots, as they are now. */
  identity(): ServerIdentity
  /** Ends sessions with 1001 and refuses new ones. */
  closeServer(): Promise<void>
  /** Ends everything else. */
  close(): Promise<void>
}

export interface CoreOptions {
  /** Synced already. */
  readonly store: Store
  readonly authority: Authority
  /** Who may be given a certificate, beside being somebody that the mesh has. */
  readonly authenticator: CallerAuthenticator
  /** Where the keys that sign internal tokens are kept: beside those of the authority. */
  readonly keyStore: CaStore
  readonly listen: Pick<MeshServerOptions, 'host' | 'port' | 'maxConnectionsOfAddress'>
  /** Upgrades on other paths than the session's. */
  readonly peers?: ReadonlyMap<string, PeerSessions>
  /** What the sidecars that are connected here said. */
  readonly own: { readonly acknowledgements: AcknowledgementTable; readonly dryRuns: DryRunTable }
  /** What every sidecar said, to whichever operator: what statuses count. */
  readonly everyone: { readonly acknowledgements: Acknowledgements; readonly dryRunsOf: DryRunTable['of'] }
  /** Something that statuses show may have changed. Called often: gather. */
  readonly onChange: () => void
  readonly onTranslation?: (translation: Translation) => void
  /** The operator has another certificate, or trusts other roots. */
  readonly onIdentity?: (identity: ServerIdentity) => void
  /** Certificates and keys are told of there. */
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** Resolves when the mesh server listens and everything was translated once; rejects when its port is taken. */
export async function startCore(options: CoreOptions): Promise<Core> {
  const { store, authority, listen, own, everyone, onChange, audit, clock, log, metrics } = options
  const { trustDomain } = authority
  const spiffeId = operatorSpiffeId(trustDomain)
  const work = new AbortController()
  const ownAuthority = auditedAuthority(authority, audit)
  let identity = await issueServerIdentity(ownAuthority, spiffeId)

  let keysGeneration = 0
  const onKeys = (name: string) => {
    keysGeneration += 1
    audit.record(issuerKeysChanged(name, kidsOf(allKeys.keysOf(name))))
    const translation = operation.translation()
    const affected = [...(translation?.issuers ?? [])].filter(([, names]) => names.includes(name)).map(([id]) => id)
    push.update(new Set(affected))
    onChange()
  }
  const signingKeys = await openSigningKeys({
    store: options.keyStore,
    clock,
    log,
    onChange: () => onKeys(INTERNAL_TOKENS),
    onMade: (kid) => audit.record(keyCreated(kid, 'internal-tokens')),
  })
  const issuerKeys = createIssuerKeysStore({ clock, random: Math.random, log, onChange: onKeys })
  const allKeys = withInternal(issuerKeys, signingKeys)
  addIssuerMetrics(metrics, () => issuerKeys.states())
  const push = createPush({
    desired: (workload) => operation.desired(workload),
    acknowledgements: own.acknowledgements,
    refreshKeys: allKeys.refresh,
    onDryRun(workload, _sidecar, counts) {
      operation.countDryRuns(workload, counts)
      onChange()
    },
    clock,
    log,
    metrics: pushMetrics(metrics),
  })
  const operation = createOperation({
    store,
    // In the order of what is kept, so the same at every operator: they are part of a config's version.
    roots: () => pemsOf(authority.trustBundle()),
    distrustedRoots: () => authority.distrusted(),
    issuerKeys: allKeys,
    acknowledgements: everyone.acknowledgements,
    dryRuns: own.dryRuns,
    dryRunsOf: everyone.dryRunsOf,
    onDesired: (workloads) => push.update(workloads),
    onTranslation(translation) {
      const self = () => ({ ...identity, trustDomain })
      followIssuers(issuerKeys, { store, translation, newest: () => operation.translation(), self, clock })
      options.onTranslation?.(translation)
      onChange()
    },
    clock,
    log,
  })
  operation.start()
  const unfollowRoots = authority.onChange(() => operation.refresh())

  const certificates = createCertificateHandler({
    authority,
    authenticator: onlyWanted(options.authenticator, (wanted) => operation.isWanted(wanted)),
    limit: createRequestLimit({ clock }),
    audit,
    clock,
    log,
    servingNames: (caller, hostname) => servingNamesOf(operation.translation(), caller.spiffeId, hostname),
  })
  const tokens = createTokenHandler({
    service: createTokenService({
      trustDomain,
      keys: signingKeys,
      issuerKeys,
      keysGeneration: () => keysGeneration,
      grantOf: createGrants(() => operation.translation()),
      clock,
      onIssued: (token) => audit.record(tokenIssued(token)),
    }),
    published: signingKeys.published,
    trustDomain,
    isWanted: operation.isWanted,
    limit: createRequestLimit({ clock, ...TOKENS_OF_CALLER }),
    clock,
    log,
    metrics: tokenMetrics(metrics),
  })
  const server = await startMeshServer({
    ...listen,
    identity,
    trustDomain,
    authority,
    certificates,
    push,
    tokens,
    ...(options.peers && { peers: options.peers }),
    clock,
    log,
  })
  const renewing = keepServerIdentity(server.server, {
    authority: ownAuthority,
    spiffeId,
    first: identity,
    onRenewed(next) {
      identity = next
      options.onIdentity?.(next)
    },
    clock,
    log,
    signal: work.signal,
  })
  return {
    operation,
    issuerKeys,
    server,
    look: (namespace) => push.look(namespace),
    spiffeId,
    identity: () => identity,
    closeServer: () => server.close(),
    async close() {
      work.abort(new Error('the operator ends'))
      unfollowRoots()
      operation.close()
      issuerKeys.close()
      signingKeys.close()
      await renewing
    },
  }
}

/** The name that sidecars and other operators know an operator by. Throws for a trust domain that makes none. */
export function operatorSpiffeId(trustDomain: TrustDomain): SpiffeId {
  const id = spiffeIdFor(trustDomain, SYSTEM_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
  if (!id.ok) throw new Error(id.issues.map(describeIssue).join('; '))
  return id.value
}

/** Their names, as far as they have any. */
function kidsOf(keys: KeysOfIssuer | undefined): readonly string[] {
  return (keys?.keys ?? []).map(({ kid }) => (typeof kid === 'string' ? kid : '-')).toSorted()
}

/** Internal tokens that one workload may ask for: a gateway has many users. */
const TOKENS_OF_CALLER = { burst: 5_000, intervalMs: 0.2 } as const

/** The keys of all tokens: those of TokenIssuers, and our own. */
function withInternal(issuerKeys: IssuerKeysStore, own: SigningKeys): Pick<IssuerKeysStore, 'keysOf' | 'refresh'> {
  return {
    keysOf: (name) => (name === INTERNAL_TOKENS ? own.published() : issuerKeys.keysOf(name)),
    refresh: (name) => (name === INTERNAL_TOKENS ? own.refresh() : issuerKeys.refresh(name)),
  }
}

/** Fetches the keys of the TokenIssuers that a translation accepted, over the mesh where a Service of it serves them. */
function followIssuers(
  issuerKeys: IssuerKeysStore,
  {
    store,
    translation: { reports },
    newest,
    self,
    clock,
  }: {
    readonly store: Store
    readonly translation: Translation
    readonly newest: () => Translation | undefined
    readonly self: () => ServerIdentity & { readonly trustDomain: TrustDomain }
    readonly clock: Clock
  },
): void {
  const snapshot = store.snapshot()
  const settings = meshSettingsOf(snapshot)
  issuerKeys.follow(
    issuerSources({
      tokenIssuers: snapshot
        .ofKind('TokenIssuer')
        .filter(({ metadata }) => reports.get(`TokenIssuer/${metadata.name}`)?.accepted?.status === 'True'),
      secretValue(namespace, name, key) {
        const secret = snapshot.get('Secret', namespace, name)
        return secret && secretText(secret, key)
      },
      meshRoute(host, port) {
        const known = newest()
        if (known === undefined || destinationOf(known, host, port) === undefined) return undefined
        return () => {
          const now = newest()
          const destination = now && destinationOf(now, host, port)
          if (destination === undefined) throw new Error(`${host}:${port} is no Service of the mesh any more`)
          return connectToMesh(destination, self(), clock.now)
        }
      },
      isEgressAllowed: (host, port) => egressNames(settings, host, port),
      lookup: (host) => lookup(host, { all: true }),
    }),
  )
}
