import type { Facts, PostgresLogin, PostgresOpening } from '../../model/request.ts'
import { DATABASE_REFUSED, DATABASE_USER_REFUSED, REPLICATION_REFUSED } from '../../policies/postgres/denials.ts'
import { type Decision, decide } from '../compile/decide.ts'
import type { OpeningPlan, Pipeline } from '../compile/pipeline.ts'
import type { CancelKeys } from '../postgres/cancel-keys.ts'
import { type ServerError, writeErrorResponse } from '../postgres/error-response.ts'
import { KeyReader } from '../postgres/key-reader.ts'
import type { Startup } from '../postgres/opening-reader.ts'
import { writeStartup } from '../postgres/write-startup.ts'
import { describeTarget } from '../upstream/connect.ts'
import { CANCEL_REFUSED, DATABASE_OPENING } from './denials.ts'
import type { Engine } from './engine.ts'
import { closeAtExpiry } from './expiry.ts'
import type { Refusal } from './observation.ts'
import { type PostgresGreeting, readPostgresOpening, watchPostgresOpening } from './read-postgres-opening.ts'
import { refusalBy } from './refusal.ts'
import { tcpRequestView } from './request-view.ts'
import { sayAndClose } from './say-and-close.ts'
import { type InboundTcpConnection, joinWith, judgeAgain, refusalOf, settle, tellClosed } from './tcp.ts'
import type { TunnelAbout } from './tunnel.ts'

/**
 * Serves a TCP port of which a policy says that it speaks Postgres. Who may not connect is closed without a byte, as at any
 * other port; of all others the beginning is read, and the session is let in as who the caller is.
 */
export function serveInboundPostgres(engine: Engine, connection: InboundTcpConnection, keys: CancelKeys): void {
  const { socket, client, containerPort } = connection
  const pipeline = engine.pipeline()
  const plan = pipeline?.inbound.get(containerPort)?.opening
  if (pipeline === undefined || plan === undefined) return void socket.destroy()
  const facts: Facts = {}
  closeAtExpiry(engine, client, socket, () => true)
  settle(decide(plan.before, tcpRequestView(client.peer, containerPort), facts), (decision) => {
    if (socket.destroyed) return
    const session = new PostgresPort(engine, connection, keys, pipeline, plan, facts)
    const { verdict, step } = decision
    if (verdict.kind === 'deny') session.close('denied', refusalBy(verdict, step))
    else if (plan.isEnforced) readPostgresOpening(engine, socket, (greeting) => session.greeted(greeting, decision))
    else session.watch(decision)
  })
}

/** One connection that may become a session. */
class PostgresPort {
  readonly #engine: Engine
  readonly #connection: InboundTcpConnection
  readonly #keys: CancelKeys
  readonly #pipeline: Pipeline
  readonly #plan: OpeningPlan
  readonly #facts: Facts
  readonly #decisionId: string
  #wouldDeny: Refusal | undefined

  constructor(
    engine: Engine,
    connection: InboundTcpConnection,
    keys: CancelKeys,
    pipeline: Pipeline,
    plan: OpeningPlan,
    facts: Facts,
  ) {
    this.#engine = engine
    this.#connection = connection
    this.#keys = keys
    this.#pipeline = pipeline
    this.#plan = plan
    this.#facts = facts
    this.#decisionId = engine.newId()
  }

  /** The beginning was read. */
  greeted(greeting: PostgresGreeting, before: Decision): void {
    this.#wouldDeny = wouldDenyOf(before)
    if (greeting.kind === 'refused') return this.#refuseGreeting(greeting.reason)
    const { socket, client, containerPort } = this.#connection
    const view = tcpRequestView(client.peer, containerPort, openingOf(greeting))
    settle(decide(this.#plan.after, view, this.#facts), (decision) => {
      if (socket.destroyed) return
      const { verdict, step } = decision
      this.#wouldDeny ??= wouldDenyOf(decision)
      if (verdict.kind === 'deny') return this.#refuse(greeting, refusalBy(verdict, step))
      if (greeting.kind === 'cancel') return this.#cancel(greeting)
      const login = this.#facts.postgres
      if (login === undefined)
        return this.#refuse(greeting, refusalOf(DATABASE_USER_REFUSED.name, 'nobody says as whom'))
      this.#begin(greeting, login)
    })
  }

  /** Only a dry run wants to know: the bytes pass as they come. */
  watch(before: Decision): void {
    const { accepted, socket, client, containerPort, app } = this.#connection
    this.#wouldDeny = wouldDenyOf(before)
    let opening: PostgresOpening | undefined
    const again = judgeAgain(this.#connection, () => opening)
    joinWith(this.#engine, accepted, socket, [app], this.#about(), { by: this.#pipeline, again }, (tunnel) =>
      watchPostgresOpening(socket, (greeting) => {
        if (greeting.kind === 'refused') {
          return tunnel.noteDryRun(this.#wouldDeny ?? refusalOf(DATABASE_OPENING.name, greeting.reason))
        }
        opening = openingOf(greeting)
        const view = tcpRequestView(client.peer, containerPort, opening)
        settle(decide(this.#plan.after, view, {}), (decision) =>
          tunnel.noteDryRun(wouldDenyOf(decision) ?? this.#wouldDeny),
        )
      }),
    )
  }

  /** Tells of a connection that becomes no session, and closes it. */
  close(outcome: 'denied' | 'failed', refusal: Refusal): void {
    tellClosed(this.#engine, this.#about(), outcome, refusal)
    this.#connection.socket.destroy()
  }

  #begin(startup: Startup, login: PostgresLogin): void {
    const { accepted, socket, client, app } = this.#connection
    const { user, database } = login
    const as: PostgresLogin = { user, database }
    const opening: PostgresOpening = { kind: 'session', isReplication: false, ...as }
    const judged = { by: this.#pipeline, again: judgeAgain(this.#connection, () => opening) }
    joinWith(this.#engine, accepted, socket, [app], this.#about(as), judged, (tunnel) => {
      const reader = new KeyReader()
      tunnel.watchUpstream = (bytes, length) => {
        const isDone = reader.push(bytes, length)
        const { spiffeId } = client.peer
        if (reader.key !== undefined && spiffeId !== undefined && !socket.destroyed) {
          socket.once('close', this.#keys.add(reader.key, spiffeId))
        }
        return isDone
      }
      tunnel.sendToUpstream(writeStartup(startup, as))
    })
  }

  /** What a session is cancelled by proves nothing about who knows it: it has to be the caller's own. */
  #cancel({ key, message }: Extract<PostgresGreeting, { readonly kind: 'cancel' }>): void {
    const { accepted, socket, client, app } = this.#connection
    if (!this.#keys.belongsTo(key, client.peer.spiffeId)) return this.close('denied', refusalOf(CANCEL_REFUSED.name))
    const judged = { by: this.#pipeline, again: judgeAgain(this.#connection, () => CANCEL) }
    joinWith(this.#engine, accepted, socket, [app], this.#about(), judged, (tunnel) =>
      tunnel.sendToUpstream(Buffer.from(message)),
    )
  }

  #refuseGreeting(reason: Extract<PostgresGreeting, { readonly kind: 'refused' }>['reason']): void {
    const refusal = refusalOf(DATABASE_OPENING.name, reason)
    // Whoever is silent, or hears nothing but TLS, is told nothing.
    if (reason === 'timeout' || reason === 'tls') return this.close('denied', refusal)
    const sqlState = reason === 'version' ? FEATURE_NOT_SUPPORTED : PROTOCOL_VIOLATION
    const message =
      reason === 'version' ? 'the mesh passes protocol 3.0 and 3.2 only' : `the startup message is refused: ${reason}`
    this.#tell(refusal, { sqlState, message })
  }

  #refuse(greeting: Extract<PostgresGreeting, { readonly kind: 'startup' | 'cancel' }>, refusal: Refusal): void {
    // A server never answers one (PostgreSQL, 54.2.9).
    if (greeting.kind === 'cancel') return this.close('denied', refusal)
    const caller = this.#connection.client.peer.spiffeId ?? 'a caller without a certificate'
    this.#tell(refusal, {
      sqlState: SQL_STATES.get(refusal.denial) ?? CANNOT_CONNECT_NOW,
      message: `${policyOf(refusal)} ${refusedWords(refusal.denial, caller, greeting)}`,
      hint: `The decision is ${this.#decisionId} in the log of the sidecar.`,
    })
  }

  #tell(refusal: Refusal, error: ServerError): void {
    tellClosed(this.#engine, this.#about(), 'denied', refusal)
    sayAndClose(this.#engine, this.#connection.socket, writeErrorResponse(error))
  }

  #about(database?: PostgresLogin): TunnelAbout {
    const { client, label, app } = this.#connection
    return {
      decisionId: this.#decisionId,
      ...label,
      spiffeId: client.peer.spiffeId,
      clientIp: client.peer.ip,
      upstream: 'app',
      endpoint: describeTarget(app),
      ...(database && { database }),
      refusal: undefined,
      rule: this.#facts.rule,
      wouldDeny: this.#wouldDeny,
    }
  }
}

const CANCEL: PostgresOpening = { kind: 'cancel' }

/** Appendix A of PostgreSQL. */
const INVALID_AUTHORIZATION = '28000'
const INVALID_CATALOG_NAME = '3D000'
const CANNOT_CONNECT_NOW = '57P03'
const PROTOCOL_VIOLATION = '08P01'
const FEATURE_NOT_SUPPORTED = '0A000'

const SQL_STATES: ReadonlyMap<string, string> = new Map([
  [DATABASE_USER_REFUSED.name, INVALID_AUTHORIZATION],
  [REPLICATION_REFUSED.name, INVALID_AUTHORIZATION],
  [DATABASE_REFUSED.name, INVALID_CATALOG_NAME],
])

function openingOf(greeting: Extract<PostgresGreeting, { readonly kind: 'startup' | 'cancel' }>): PostgresOpening {
  if (greeting.kind === 'cancel') return CANCEL
  const { user, database, isReplication } = greeting
  return { kind: 'session', user, database, isReplication }
}

/** Without its generation: that is in the log. */
function policyOf({ origins }: Refusal): string {
  const names = origins.map((origin) => origin.split('@', 1)[0])
  return names.length === 0 ? 'the mesh' : `policy ${names.join(', ')}`
}

function refusedWords(denial: string, caller: string, { user, database }: Startup): string {
  switch (denial) {
    case DATABASE_USER_REFUSED.name:
      return `does not let ${caller} be user "${user}"`
    case DATABASE_REFUSED.name:
      return `does not let ${caller} use database "${database}" as user "${user}"`
    case REPLICATION_REFUSED.name:
      return `does not let ${caller} replicate`
    default:
      return `cannot be applied: ${denial}`
  }
}

function wouldDenyOf({ wouldDeny }: Decision): Refusal | undefined {
  return wouldDeny === undefined ? undefined : refusalBy(wouldDeny.verdict, wouldDeny.step)
}
