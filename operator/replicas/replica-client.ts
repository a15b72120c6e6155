import { type ClientOptions, WebSocket } from 'ws'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import { createBackoff } from '../../runtime/backoff.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { ServerIdentity } from '../identity/server-identity.ts'
import type { AcknowledgementTable, SidecarStanding } from '../push/acknowledgements.ts'
import type { DryRunTable } from '../status/dry-run-counts.ts'
import {
  MAX_BATCH,
  REPLICA_PATH,
  REPLICA_PROTOCOL,
  type ReplicaMessage,
  type ReplicaSelf,
  type ReplicaUpdate,
} from './messages.ts'

/** The end that does not lead: tells the leader who is connected here, and everything that changes. */
export interface ReplicaClient {
  /** Who leads now; undefined while nobody does, or this operator itself. */
  follow(leader: ReplicaAddress | undefined): void
  /** What this operator says of itself may have changed. */
  touch(): void
  /** True while a leader is told. */
  readonly connected: boolean
  close(): void
}

export interface ReplicaAddress {
  readonly host: string
  readonly port: number
}

export interface ReplicaClientOptions {
  /** The name of this operator: its pod's. */
  readonly replica: string
  readonly release: string
  readonly own: { readonly acknowledgements: AcknowledgementTable; readonly dryRuns: Pick<DryRunTable, 'all'> }
  /** What this operator says of itself. */
  readonly self: () => ReplicaSelf
  readonly identity: () => ServerIdentity
  readonly spiffeId: SpiffeId
  readonly trustDomain: TrustDomain
  readonly onConnected?: (connected: boolean) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** Milliseconds that changes are gathered: a push is acknowledged by many sidecars at nearly the same time. */
const GATHER_MS = 20

/** Milliseconds between two looks at what dry runs counted. The status shows it once a minute. */
const DRY_RUN_INTERVAL_MS = 10_000

/** The leader pings; when nothing came for this long it is gone. */
const SILENCE_LIMIT_MS = 35_000

const HANDSHAKE_TIMEOUT_MS = 5_000
const FIRST_RETRY_MS = 250
const MAX_RETRY_MS = 5_000

/** Bytes after which a message takes no further entry. Far below what the other end takes: one entry may be large. */
const MESSAGE_BYTES = 256 * 1024

export function createReplicaClient(options: ReplicaClientOptions): ReplicaClient {
  const { clock, log } = options
  const backoff = createBackoff({ baseMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS, random: options.random })
  let leader: ReplicaAddress | undefined
  let attempt: WebSocket | undefined
  let connected = false
  let telling: Telling | undefined
  let cancelRetry = () => {}

  const setConnected = (isConnected: boolean) => {
    if (connected === isConnected) return
    connected = isConnected
    options.onConnected?.(connected)
  }

  const connect = ({ host, port }: ReplicaAddress) => {
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const socket = new WebSocket(`wss://${authority}${REPLICA_PATH}`, REPLICA_PROTOCOL, socketOptions(options))
    attempt = socket
    let cancelSilence = () => {}
    const alive = () => {
      cancelSilence()
      cancelSilence = clock.setTimer(SILENCE_LIMIT_MS, () => socket.terminate(), { keepAlive: false })
    }
    socket.on('open', () => {
      alive()
      if (attempt !== socket) return socket.terminate()
      telling = tell(socket, options)
    })
    socket.on('ping', () => {
      // Not when the connection opens: one that does not lead takes it and hangs up.
      backoff.reset()
      if (!connected) log.info('telling the operator that leads', { 'server.address': host, 'server.port': port })
      setConnected(true)
      alive()
    })
    socket.on('error', (err) => log.debug('session with the operator that leads failed', { err }))
    socket.on('close', (code) => {
      cancelSilence()
      if (attempt !== socket) return
      telling?.stop()
      telling = undefined
      attempt = undefined
      if (connected) log.info('no longer telling the operator that leads', { 'hauberk.close_code': code })
      setConnected(false)
      if (leader === undefined) return
      cancelRetry = clock.setTimer(backoff.next(), () => leader && connect(leader), { keepAlive: false })
    })
  }

  const hangUp = () => {
    cancelRetry()
    const socket = attempt
    attempt = undefined
    telling?.stop()
    telling = undefined
    socket?.close(1000)
    socket?.terminate()
    setConnected(false)
  }

  return {
    get connected() {
      return connected
    },
    touch: () => telling?.touch(),
    follow(next) {
      if (next?.host === leader?.host && next?.port === leader?.port) return
      leader = next
      hangUp()
      backoff.reset()
      if (leader !== undefined) connect(leader)
    },
    close() {
      leader = undefined
      hangUp()
    },
  }
}

interface Telling {
  touch(): void
  stop(): void
}

/** Tells everything there is, then what changes. One message is on its way at a time; what changes meanwhile is told once. */
function tell(socket: WebSocket, { replica, release, own, self, clock }: ReplicaClientOptions): Telling {
  const dirty = new Set(own.acknowledgements.keys())
  const toldDryRuns = new Map<string, { readonly generation: number; readonly total: number }>()
  let toldSelf = ''
  let isWhole = false
  let isSending = false
  let stopped = false
  let cancelGather: (() => void) | undefined

  const send = (message: ReplicaMessage) => {
    isSending = true
    socket.send(JSON.stringify(message), () => {
      isSending = false
      flush()
    })
  }
  const flush = () => {
    if (isSending || stopped || socket.readyState !== WebSocket.OPEN) return
    const { trusts, root } = self()
    const nowSelf = JSON.stringify([trusts, root])
    if (nowSelf !== toldSelf) {
      toldSelf = nowSelf
      return send({ type: 'self', trusts: [...trusts], ...(root !== undefined && { root }) })
    }
    const update = nextUpdate(dirty, toldDryRuns, own)
    if (update !== undefined) return send(update)
    if (isWhole) return
    isWhole = true
    send({ type: 'whole' })
  }
  const soon = () => {
    cancelGather ??= clock.setTimer(
      GATHER_MS,
      () => {
        cancelGather = undefined
        flush()
      },
      { keepAlive: false },
    )
  }
  const look = () => {
    flush()
    cancelLook = clock.setTimer(DRY_RUN_INTERVAL_MS, look, { keepAlive: false })
  }
  let cancelLook = clock.setTimer(DRY_RUN_INTERVAL_MS, look, { keepAlive: false })
  const stopListening = own.acknowledgements.onChange((key) => {
    dirty.add(key)
    soon()
  })
  send({ type: 'hello', replica, release })
  return {
    touch: soon,
    stop() {
      stopped = true
      stopListening()
      cancelGather?.()
      cancelLook()
    },
  }
}

/** What is to be told next; undefined when everything was. */
function nextUpdate(
  dirty: Set<string>,
  toldDryRuns: Map<string, { readonly generation: number; readonly total: number }>,
  { acknowledgements, dryRuns }: ReplicaClientOptions['own'],
): ReplicaUpdate | undefined {
  const update = { type: 'update' as const, sidecars: [], left: [], dryRuns: [], forgotten: [] } as {
    -readonly [K in keyof ReplicaUpdate]: ReplicaUpdate[K]
  }
  let entries = 0
  let bytes = 0
  const isFull = () => entries >= MAX_BATCH || bytes >= MESSAGE_BYTES
  const count = (entry: unknown) => {
    entries += 1
    bytes += Buffer.byteLength(JSON.stringify(entry))
  }
  for (const key of dirty) {
    if (isFull()) return update
    dirty.delete(key)
    const sidecar = acknowledgements.get(key)
    if (sidecar === undefined) update.left.push(key)
    else update.sidecars.push({ key, sidecar: sidecarOnWire(sidecar) })
    count(sidecar ?? key)
  }
  const counted = dryRuns.all()
  for (const [policy, { generation, counts, total }] of counted) {
    const told = toldDryRuns.get(policy)
    if (told?.generation === generation && told.total === total) continue
    if (isFull()) return update
    toldDryRuns.set(policy, { generation, total })
    const entry = { policy, generation, counts: Object.fromEntries(counts) }
    update.dryRuns.push(entry)
    count(entry)
  }
  for (const policy of toldDryRuns.keys()) {
    if (counted.has(policy)) continue
    if (isFull()) return update
    toldDryRuns.delete(policy)
    update.forgotten.push(policy)
    count(policy)
  }
  return entries === 0 ? undefined : update
}

type SidecarOnWire = ReplicaUpdate['sidecars'][number]['sidecar']

function sidecarOnWire({ documents, root, ...sidecar }: SidecarStanding): SidecarOnWire {
  return {
    ...sidecar,
    ...(root !== undefined && { root }),
    documents: Object.fromEntries(
      Object.entries(documents).map(([kind, { acknowledged, refused }]) => [
        kind,
        {
          ...(acknowledged !== undefined && { acknowledged }),
          ...(refused !== undefined && {
            refused: {
              version: refused.version,
              issues: refused.issues.map(({ code, severity, path, message, fix }) => ({
                code,
                severity,
                path,
                message,
                ...(fix !== undefined && { fix }),
              })),
            },
          }),
        },
      ]),
    ),
  }
}

/** mTLS, this operator's certificate on one end and the same SPIFFE id on the other. */
function socketOptions({ identity, spiffeId, trustDomain, clock }: ReplicaClientOptions): ClientOptions {
  const { privateKey, chain, trustBundle } = identity()
  const expected = { trustDomain, role: 'server', spiffeIds: new Set([spiffeId]) } as const
  // ws hands what it does not know on to tls.connect; its types know less than it does.
  return {
    key: privateKey,
    cert: chain,
    ca: [...trustBundle],
    servername: '',
    minVersion: 'TLSv1.3',
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    checkServerIdentity: (_host: string, { raw }: { readonly raw: Uint8Array }) => {
      const verdict = judgeSvid(raw, { ...expected, nowMs: clock.now() })
      return verdict.ok ? undefined : new Error(`peer identity refused: ${verdict.reason}`)
    },
    perMessageDeflate: false,
    maxPayload: 1_024,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    followRedirects: false,
  } as unknown as ClientOptions
}
