import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { WebSocketServer } from 'ws'
import { decode } from '../../contract/codec.ts'
import { documentVersion, spokenWith, wireVersion } from '../../contract/encode-for.ts'
import { type DocumentKind, MAX_MESSAGE_BYTES, SESSION_PROTOCOLS, SidecarMessage } from '../../contract/session.ts'
import { CONTRACT_VERSION, type ContractVersion, type WorkloadConfig } from '../../contract/workload-config.ts'
import { issue } from '../../model/result.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Counter, Gauge, Metrics } from '../../runtime/metrics.ts'
import { createLooks, type Looked } from '../live/looks.ts'
import type { EdgesReport } from '../live/mesh-edges.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import type { AcknowledgementTable } from './acknowledgements.ts'
import { changeOf, type DesiredDocuments, messageOf, SEND_ORDER } from './desired.ts'

/** Sends each sidecar the newest of what it is to obey, and remembers what it said of it. */
export interface Push {
  /**
   * Takes over the connection of a sidecar whose certificate was verified. `peer` is its SPIFFE ID. The session ends soon
   * after the certificate does: a sidecar that renewed in time connects anew (T06). `peerRoot` is the fingerprint of the
   * root that vouches for it, where it is known.
   */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    peer: string,
    peerNotAfterMs: number,
    peerRoot?: string,
  ): void
  /** The desired state changed for these workloads, or for all: whoever holds something older is sent the newest. */
  update(workloads?: ReadonlySet<string>): void
  /**
   * Asks the sidecars that are connected here what goes over their edges: those of a namespace, the gateways of our own among them, or all.
   * Undefined: too many look already.
   */
  look(namespace?: string): Promise<EdgesReport | undefined>
  /** Ends every session with 1001 (going away). */
  close(): void
}

export interface PushOptions {
  /** What a workload's sidecars are to obey now; undefined when there is no such workload. */
  readonly desired: (workload: string) => DesiredDocuments | undefined
  readonly acknowledgements: AcknowledgementTable
  /** A sidecar met a key it does not know. Resolves when the issuer was asked, or was asked too recently. */
  readonly refreshKeys: (issuer: string) => Promise<void>
  readonly onDryRun: (workload: string, pod: string, counts: readonly DryRunCount[]) => void
  readonly clock: Clock
  readonly log: Log
  readonly metrics: PushMetrics
  /** Sessions at once; more are refused with 1013 (try again later). Default 20,000. */
  readonly maxSessions?: number
  /** Bytes of a document at most; a larger one is not sent, and counts as refused. Default: what a sidecar takes. */
  readonly maxMessageBytes?: number
}

export interface PushMetrics {
  readonly sessions: Gauge
  readonly pushes: Counter<'document'>
  readonly refusals: Counter<'document'>
  /** Connected sidecars that have not answered the newest document, or have refused it. */
  readonly behind: Gauge<'document'>
  beforeScrape(refresh: () => void): void
}

export function pushMetrics(metrics: Metrics): PushMetrics {
  return {
    sessions: metrics.gauge({ name: 'hauberk_sessions', help: 'Sidecars that are connected.' }),
    pushes: metrics.counter({
      name: 'hauberk_pushes_total',
      help: 'Documents sent to sidecars.',
      labels: ['document'],
    }),
    refusals: metrics.counter({
      name: 'hauberk_push_refusals_total',
      help: 'Documents that sidecars refused.',
      labels: ['document'],
    }),
    behind: metrics.gauge({
      name: 'hauberk_sidecars_behind',
      help: 'Connected sidecars that have not acknowledged what they were sent.',
      labels: ['document'],
    }),
    beforeScrape: metrics.beforeScrape,
  }
}

export interface DryRunCount {
  readonly origin: string
  readonly rule: string
  readonly wouldDeny: number
}

/** Milliseconds between pings; a sidecar that hears nothing for 35 s hangs up. */
const PING_INTERVAL_MS = 10_000

/** A session that did not answer the last ping, or did not say hello in this time, is ended. */
const SILENCE_LIMIT_MS = 30_000

/** A document that was not answered in this time is overtaken by a newer one, if there is a newer one. */
const ANSWER_LIMIT_MS = 10_000

/** Bytes of a config below which it is sent whole: a sidecar reads it in less than a millisecond. */
const LEAST_BYTES_TO_CHANGE = 32 * 1024

const DEFAULT_MAX_SESSIONS = 20_000

/** Bytes that a sidecar may say at once: acks, nacks and counts. */
const MAX_SIDECAR_MESSAGE_BYTES = 256 * 1024

/** A sidecar that leaves this many bytes unread is answered no more: nothing that it says may make us hold more. */
const MAX_UNREAD_BYTES = 1024 * 1024

interface Sidecar {
  readonly key: string
  readonly socket: WebSocket
  readonly peer: string
  readonly peerRoot: string | undefined
  workload: string | undefined
  /** What it is sent is encoded for: of its hello. */
  contract: ContractVersion
  /** The config that it was told last, and the last of these that it acknowledged: what comes next may be said as a change of that. */
  told: WorkloadConfig | undefined
  held: WorkloadConfig | undefined
  /** The version of the config that it was told as a change, if it was told none since. */
  changeTold: string | undefined
  /** By document: the version last sent, as it went over the wire, and since when its answer is awaited. */
  readonly sent: Map<DocumentKind, string>
  readonly awaiting: Map<DocumentKind, number>
  /** Issuers that are being asked on its behalf: one question at a time for each. */
  readonly refreshing: Set<string>
  lastHeard: number
}

/** Attach `accept` to the `upgrade` event of an HTTPS server that verified the client's certificate. */
export function createPush(options: PushOptions): Push {
  const { desired, acknowledgements, clock, log, metrics } = options
  const { maxSessions = DEFAULT_MAX_SESSIONS, maxMessageBytes = MAX_MESSAGE_BYTES } = options
  const sidecars = new Map<string, Sidecar>()
  const byWorkload = new Map<string, Set<Sidecar>>()
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // Only we ping: a pong for each ping of theirs is one more thing to buffer for who does not read.
    autoPong: false,
    maxPayload: Math.min(MAX_MESSAGE_BYTES, MAX_SIDECAR_MESSAGE_BYTES),
    handleProtocols: (offered) => SESSION_PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
  })
  const looks = createLooks<Sidecar>(clock)
  let sessions = 0
  let cancelPing = () => {}

  const ping = () => {
    for (const sidecar of sidecars.values()) {
      if (clock.monotonic() - sidecar.lastHeard > SILENCE_LIMIT_MS) sidecar.socket.terminate()
      else {
        sidecar.socket.ping()
        sendNewest(sidecar)
      }
    }
    cancelPing = sidecars.size > 0 ? clock.setTimer(PING_INTERVAL_MS, ping, { keepAlive: false }) : () => {}
  }

  const sendNewest = (sidecar: Sidecar) => {
    if (sidecar.workload === undefined) return
    const documents = desired(sidecar.workload)
    if (documents === undefined) return
    if (documents.config.identity.spiffeId !== sidecar.peer) {
      sidecar.socket.close(1008, 'the workload has another service account now')
      return
    }
    for (const kind of SEND_ORDER) {
      const document = documents[kind]
      if (document === undefined || isNothingNew(kind, documents, sidecar)) continue
      const version = wireVersion(sidecar.contract, document.version)
      if (sidecar.sent.get(kind) === version) continue
      const since = sidecar.awaiting.get(kind)
      const isOverdue = since !== undefined && clock.monotonic() - since >= ANSWER_LIMIT_MS
      // One document of a kind waits at most: more of them reach a sidecar that does not read no sooner.
      if (since !== undefined && !(isOverdue && sidecar.socket.bufferedAmount === 0)) continue
      sidecar.sent.set(kind, version)
      const { text, bytes } = messageOf(kind, document, sidecar.contract)
      if (bytes > maxMessageBytes) {
        refuseTooLarge(sidecar, kind, document.version, bytes)
        continue
      }
      sidecar.awaiting.set(kind, clock.monotonic())
      // A sidecar that has not answered may hold either config: it is told the whole.
      const change = kind === 'config' && !isOverdue ? changeFor(sidecar, documents.config, bytes) : undefined
      if (kind === 'config') {
        sidecar.told = documents.config
        sidecar.changeTold = change === undefined ? undefined : version
      }
      sidecar.socket.send(change ?? text)
      metrics.pushes.handle({ document: kind }).add()
    }
  }

  /** Who never had revocations is told of none; older sidecars have no word for them. */
  const isNothingNew = (kind: DocumentKind, { revocations }: DesiredDocuments, { contract, sent }: Sidecar): boolean =>
    kind === 'revocations' &&
    (contract < CONTRACT_VERSION ||
      (!sent.has(kind) && revocations?.revocations.length === 0 && revocations.tooMany !== true))

  /** What the config is to who holds an earlier one, if that is much shorter than all of it. */
  const changeFor = (
    { held, socket, contract }: Sidecar,
    config: WorkloadConfig,
    bytes: number,
  ): string | undefined => {
    const isUnderstood = socket.protocol === SESSION_PROTOCOLS[0] && contract === CONTRACT_VERSION
    if (!isUnderstood || held === undefined || bytes < LEAST_BYTES_TO_CHANGE) return undefined
    const change = changeOf(held, config)
    return change.length < bytes / 2 ? change : undefined
  }

  /** The sidecar would hang up on it, again and again. It keeps what it has, and the status says why. */
  const refuseTooLarge = (sidecar: Sidecar, kind: DocumentKind, version: string, bytes: number) => {
    sidecar.awaiting.delete(kind)
    const message = `has ${bytes} bytes, and a sidecar takes ${maxMessageBytes} at most`
    const issues = [issue('document-too-large', '', message, 'let the workload name fewer policies and Services')]
    log.error('a document is too large to be sent', { 'hauberk.workload': sidecar.workload, 'hauberk.document': kind })
    metrics.refusals.handle({ document: kind }).add()
    acknowledgements.refuse(sidecar.key, kind, version, issues)
  }

  /** Behind is who has not answered yet, or has refused what was sent last. */
  const countBehind = () => {
    const behind = new Map<DocumentKind, number>(SEND_ORDER.map((kind) => [kind, 0]))
    for (const { key, awaiting } of sidecars.values()) {
      const standing = acknowledgements.get(key)?.documents
      for (const kind of SEND_ORDER) {
        if (awaiting.has(kind) || standing?.[kind]?.refused !== undefined) behind.set(kind, (behind.get(kind) ?? 0) + 1)
      }
    }
    for (const [document, count] of behind) metrics.behind.handle({ document }).set(count)
  }
  metrics.beforeScrape(countBehind)

  const hello = (sidecar: Sidecar, message: Extract<SidecarMessage, { type: 'hello' }>) => {
    const documents = desired(message.workload)
    // A sidecar may learn the configuration of the workload whose service account it runs as, and no other's.
    if (documents === undefined || documents.config.identity.spiffeId !== sidecar.peer) {
      log.warn('a sidecar asked for a workload that is not its own', {
        'hauberk.peer': sidecar.peer,
        'hauberk.workload': message.workload,
      })
      sidecar.socket.close(1008, documents === undefined ? 'unknown workload' : 'not your workload')
      return
    }
    const contract = spokenWith(message.contract)
    if (contract === undefined) {
      sidecar.socket.close(1002, `contract ${message.contract} is no longer spoken`)
      return
    }
    sidecar.contract = contract
    sidecar.workload = message.workload
    const peers = byWorkload.get(message.workload) ?? new Set()
    byWorkload.set(message.workload, peers)
    peers.add(sidecar)
    acknowledgements.connect(sidecar.key, {
      workload: message.workload,
      pod: message.pod,
      release: message.release,
      contract: message.contract,
      since: clock.now(),
      root: sidecar.peerRoot,
    })
    for (const kind of SEND_ORDER) {
      const version = message.have[kind]
      if (version === undefined) continue
      sidecar.sent.set(kind, version)
      if (kind === 'config' && version === documents.config.version) sidecar.held = documents.config
      // Encoded for another version than it speaks now, it is not what it would be sent: an upgrade, or a rollback.
      if (version === wireVersion(contract, documentVersion(version)))
        acknowledgements.acknowledge(sidecar.key, kind, documentVersion(version))
    }
    sendNewest(sidecar)
  }

  const answered = (sidecar: Sidecar, kind: DocumentKind, version: string) => {
    if (sidecar.sent.get(kind) === version) sidecar.awaiting.delete(kind)
    sendNewest(sidecar)
  }

  const answerChecked = ({ socket }: Sidecar, issuer: string) => {
    if (socket.readyState !== socket.OPEN || socket.bufferedAmount > MAX_UNREAD_BYTES) return
    socket.send(JSON.stringify({ type: 'keys-checked', issuer }))
  }

  const receive = (sidecar: Sidecar, message: SidecarMessage) => {
    if (message.type === 'hello') {
      if (sidecar.workload === undefined) hello(sidecar, message)
      else sidecar.socket.close(1002, 'a second hello')
      return
    }
    const { workload } = sidecar
    if (workload === undefined) {
      sidecar.socket.close(1002, 'no hello')
      return
    }
    switch (message.type) {
      case 'ack':
        acknowledgements.acknowledge(sidecar.key, message.document, documentVersion(message.version))
        if (message.document === 'config' && sidecar.told?.version === message.version) sidecar.held = sidecar.told
        answered(sidecar, message.document, message.version)
        return
      case 'nack': {
        const issues = message.issues.map(({ fix, ...rest }) => (fix === undefined ? rest : { ...rest, fix }))
        log.error('a sidecar refused its configuration', { 'hauberk.workload': workload, issues })
        metrics.refusals.handle({ document: message.document }).add()
        // It does not hold what it was believed to: it is told the whole, once for each change that it was told.
        const isOfChange = message.document === 'config' && sidecar.changeTold === message.version
        if (isOfChange && issues.some(({ code }) => code === 'another-base')) {
          sidecar.held = undefined
          sidecar.changeTold = undefined
          sidecar.sent.delete('config')
          sidecar.awaiting.delete('config')
          sendNewest(sidecar)
          return
        }
        acknowledgements.refuse(sidecar.key, message.document, documentVersion(message.version), issues)
        answered(sidecar, message.document, message.version)
        return
      }
      case 'refresh-keys': {
        const { issuer } = message
        // Issuers that its policies do not name are none of its business; it is answered all the same.
        const isItsOwn = desired(workload)?.issuers.includes(issuer) === true
        if (!isItsOwn) return answerChecked(sidecar, issuer)
        if (sidecar.refreshing.has(issuer)) return
        sidecar.refreshing.add(issuer)
        options.refreshKeys(issuer).finally(() => {
          sidecar.refreshing.delete(issuer)
          sendNewest(sidecar)
          answerChecked(sidecar, issuer)
        })
        return
      }
      case 'dry-run':
        options.onDryRun(workload, sidecar.key, message.counts)
        return
      case 'seen':
        looks.answer(sidecar, message.id, message.edges, message.omitted)
        return
    }
  }

  const begin = (socket: WebSocket, peer: string, peerNotAfterMs: number, peerRoot: string | undefined) => {
    const key = `${peer} ${clock.monotonic()} ${sessions++}`
    const sidecar: Sidecar = {
      key,
      socket,
      peer,
      peerRoot,
      workload: undefined,
      contract: CONTRACT_VERSION,
      told: undefined,
      held: undefined,
      changeTold: undefined,
      sent: new Map(),
      awaiting: new Map(),
      refreshing: new Set(),
      lastHeard: clock.monotonic(),
    }
    sidecars.set(key, sidecar)
    metrics.sessions.handle().set(sidecars.size)
    if (sidecars.size === 1) {
      cancelPing()
      cancelPing = clock.setTimer(PING_INTERVAL_MS, ping, { keepAlive: false })
    }
    const cancelExpiry = clock.setTimer(
      Math.max(0, peerNotAfterMs - clock.now()),
      () => socket.close(1000, 'the certificate of this session has expired'),
      { keepAlive: false },
    )
    const cancelHello = clock.setTimer(
      SILENCE_LIMIT_MS,
      () => {
        if (sidecar.workload === undefined) socket.terminate()
      },
      { keepAlive: false },
    )
    socket.on('pong', () => {
      sidecar.lastHeard = clock.monotonic()
    })
    socket.on('message', (data, isBinary) => {
      sidecar.lastHeard = clock.monotonic()
      const decoded = isBinary ? undefined : decode(SidecarMessage, data.toString())
      if (decoded?.ok) receive(sidecar, decoded.value)
      else socket.close(1003, 'not understood')
    })
    socket.on('error', (err) => log.debug('session failed', { err, 'hauberk.peer': peer }))
    socket.on('close', () => {
      cancelExpiry()
      cancelHello()
      sidecars.delete(key)
      looks.gone(sidecar)
      if (sidecar.workload !== undefined) {
        const peers = byWorkload.get(sidecar.workload)
        peers?.delete(sidecar)
        if (peers?.size === 0) byWorkload.delete(sidecar.workload)
      }
      acknowledgements.disconnect(key)
      metrics.sessions.handle().set(sidecars.size)
    })
  }

  return {
    accept(request, socket, head, peer, peerNotAfterMs, peerRoot) {
      server.handleUpgrade(request, socket, head, (webSocket) => {
        if (webSocket.protocol === '') webSocket.close(1002, `speak ${SESSION_PROTOCOLS.join(' or ')}`)
        else if (sidecars.size >= maxSessions) webSocket.close(1013, 'too many sessions')
        else begin(webSocket, peer, peerNotAfterMs, peerRoot)
      })
    },
    update(workloads) {
      if (workloads === undefined) for (const sidecar of sidecars.values()) sendNewest(sidecar)
      else for (const workload of workloads) byWorkload.get(workload)?.forEach(sendNewest)
    },
    look(namespace) {
      const asked = new Map<Sidecar, Looked>()
      for (const sidecar of sidecars.values()) {
        const { workload, peer, contract, socket } = sidecar
        if (workload === undefined || !concerns(workload, namespace)) continue
        asked.set(sidecar, {
          teller: { workload, spiffeId: peer },
          contract,
          ask(id) {
            // Who does not read is asked nothing more, and is silent.
            if (socket.bufferedAmount <= MAX_UNREAD_BYTES) socket.send(JSON.stringify({ type: 'look', id }))
          },
        })
      }
      return looks.edges(asked)
    },
    close() {
      cancelPing()
      for (const { socket } of sidecars.values()) {
        socket.close(1001, 'going away')
        socket.terminate()
      }
      server.close()
    },
  }
}

/** A Gateway's workload has its namespace in its name. */
function concerns(workload: string, namespace: string | undefined): boolean {
  if (namespace === undefined || workload.startsWith(`${namespace}/`)) return true
  return workload.startsWith(`${SYSTEM_NAMESPACE}/gateway-${namespace}-`)
}
