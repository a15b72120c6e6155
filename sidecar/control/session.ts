import type { ConnectionOptions } from 'node:tls'
import { type ClientOptions, WebSocket } from 'ws'
import { decode } from '../../contract/codec.ts'
import { decodeOperatorMessage } from '../../contract/read-config.ts'
import {
  DOCUMENTS,
  type DocumentKind,
  MAX_MESSAGE_BYTES,
  OperatorMessage,
  SESSION_PATH,
  SESSION_PROTOCOLS,
  type SidecarMessage,
} from '../../contract/session.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Issue, Result } from '../../model/result.ts'
import type { Turns } from '../../model/turns.ts'
import type { Backoff } from '../../runtime/backoff.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { HealthCondition } from '../../runtime/health.ts'
import type { Log } from '../../runtime/log.ts'
import { Inbox } from './inbox.ts'

/** The connection to the operator, made again for as long as the process lives. */
export interface Session {
  /** Sends when there is a session; false when there is none, and then the message is gone. */
  send(message: SidecarMessage): boolean
  /** True while the operator is connected. */
  readonly connected: boolean
  /** Connects anew at once: the certificate is another one. */
  reconnect(): void
  close(): void
}

export interface SessionOptions {
  /** Host and port of the operator. */
  readonly operator: () => { readonly host: string; readonly port: number }
  /** TLS options that prove both sides; asked anew for each attempt, so that a renewed certificate is used. */
  readonly tls: () => ConnectionOptions
  readonly hello: () => Extract<SidecarMessage, { type: 'hello' }>
  readonly onMessage: (message: OperatorMessage) => void
  /** There is no session, or the one there was has ended. Called once for each attempt. */
  readonly onLost?: () => void
  /** The config that is obeyed: what an operator sends next may be a change of it. Absent: it has to send whole ones. */
  readonly held?: () => WorkloadConfig | undefined
  /** What takes the place of the contract's decoder, in one turn; then `held` is absent. */
  readonly decode?: (text: string) => Result<OperatorMessage>
  readonly backoff: Backoff
  readonly clock: Clock
  readonly log: Log
  readonly health?: HealthCondition
}

/** The operator pings; a session in which nothing came for this long is dead (half-open peers, F15). */
export const SILENCE_LIMIT_MS = 35_000

/** Milliseconds for TCP, TLS and upgrade together. */
const HANDSHAKE_TIMEOUT_MS = 5_000

/** Opens the session and keeps it open. Nothing here ever throws: without an operator the sidecar serves by what it has. */
export function startSession(options: SessionOptions): Session {
  const { backoff, clock, log, health } = options
  const { held, decode = decodeMessage } = options
  const read = (text: string) => (held === undefined ? atOneTurn(decode, text) : decodeOperatorMessage(text, held()))
  const protocols = SESSION_PROTOCOLS.filter((protocol) => held !== undefined || protocol === 'hauberk.session.v1')
  let socket: WebSocket | undefined
  /** The newest one, whether or not it is open. */
  let newest: WebSocket | undefined
  let isAnew = false
  let closed = false
  let cancelRetry = () => {}

  const connect = () => {
    const { host, port } = options.operator()
    // ws hands what it does not know on to tls.connect; its types know less than it does.
    const socketOptions = {
      ...options.tls(),
      ALPNProtocols: ['http/1.1'],
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      followRedirects: false,
    } as unknown as ClientOptions
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const attempt = new WebSocket(`wss://${authority}${SESSION_PATH}`, protocols, socketOptions)
    newest = attempt
    let cancelSilence = () => {}
    const alive = () => {
      cancelSilence()
      cancelSilence = clock.setTimer(SILENCE_LIMIT_MS, () => attempt.terminate(), { keepAlive: false })
    }
    attempt.on('open', () => {
      if (closed) return attempt.terminate()
      socket = attempt
      alive()
      attempt.send(JSON.stringify(helloIn(attempt.protocol, options.hello())))
      log.info('connected to the operator', { 'server.address': host, 'server.port': port })
      health?.pass()
    })
    // Not when the connection opens: an operator that takes it and hangs up is no reason to come back sooner.
    const heard = () => {
      backoff.reset()
      alive()
    }
    attempt.on('ping', heard)
    const refuse = (issues: readonly Issue[], text: string) => {
      log.error('the operator sent what this sidecar does not understand', { issues })
      const refused = documentOf(text)
      if (refused === undefined) attempt.close(1003, 'not understood')
      else attempt.send(JSON.stringify({ type: 'nack', ...refused, issues: issues.slice(0, MAX_ISSUES) }))
    }
    const inbox = new Inbox({
      read,
      onRead(decoded, text) {
        if (closed) return
        if (decoded.ok) options.onMessage(decoded.value)
        else refuse(decoded.issues, text)
      },
      onBusy: (isBusy) => (isBusy ? attempt.pause() : attempt.resume()),
    })
    attempt.on('message', (data, isBinary) => {
      heard()
      if (isBinary) refuse([], '')
      else inbox.take(data.toString())
    })
    attempt.on('error', (err) => log.debug('session failed', { err }))
    attempt.on('close', (code) => {
      inbox.close()
      cancelSilence()
      if (socket === attempt) {
        socket = undefined
        if (!isAnew && !closed) {
          log.warn('the operator is away, serving goes on', { 'hauberk.close_code': code })
          health?.fail('the operator is away')
        }
      }
      newest = undefined
      if (closed) return
      if (isAnew) {
        isAnew = false
        return connect()
      }
      options.onLost?.()
      cancelRetry = clock.setTimer(backoff.next(), connect)
    })
  }
  connect()

  return {
    get connected() {
      return socket !== undefined
    },
    send(message) {
      if (socket?.readyState !== WebSocket.OPEN) return false
      socket.send(JSON.stringify(message))
      return true
    },
    reconnect() {
      if (closed) return
      if (newest === undefined) {
        cancelRetry()
        return connect()
      }
      isAnew = true
      newest.close(1000, 'another certificate')
      newest.terminate()
    },
    close() {
      closed = true
      cancelRetry()
      socket?.close(1001, 'going away')
      socket?.terminate()
    },
  }
}

/** An operator that does not know `hauberk.session.v2` knows nothing of revocations either, and takes no word that it does not know. */
function helloIn(protocol: string, hello: ReturnType<SessionOptions['hello']>): ReturnType<SessionOptions['hello']> {
  if (protocol !== 'hauberk.session.v1') return hello
  const { revocations: _, ...have } = hello.have
  return { ...hello, have }
}

function decodeMessage(text: string): Result<OperatorMessage> {
  return decode(OperatorMessage, text)
}

// biome-ignore lint/correctness/useYield: one turn.
function* atOneTurn<Message>(decode: (text: string) => Message, text: string): Turns<Message> {
  return decode(text)
}

/** The contract's bound on the issues of a nack. */
const MAX_ISSUES = 64

/** Which document a message carried that did not decode, so that it can be refused by name. */
function documentOf(text: string): { readonly document: DocumentKind; readonly version: string } | undefined {
  try {
    const message = JSON.parse(text) as Readonly<Record<string, unknown>>
    const document = message['type'] === 'config-change' ? 'config' : DOCUMENTS.find((kind) => kind === message['type'])
    const version = document && (message[document] as { readonly version?: unknown } | undefined)?.version
    return document !== undefined && typeof version === 'string' ? { document, version } : undefined
  } catch {
    return undefined
  }
}
