import type { Deny } from '../../../model/verdict.ts'
import type { Pipeline } from '../../compile/pipeline.ts'
import type { ConnectError } from '../../upstream/connect.ts'
import { UpstreamConnection } from '../../upstream/connection.ts'
import { PoolFullError } from '../../upstream/pool.ts'
import { connectDenial, NO_ENDPOINTS, NOT_SERVING, refusal, UPSTREAM_OVERFLOW } from '../denials.ts'
import type { Transaction } from '../downstream.ts'
import type { Engine } from '../engine.ts'
import type { RequestHead } from '../http1/message.ts'
import type { Http1Wire } from '../http1-downstream.ts'
import { PROBLEM_JSON, problemJson, writeLocalResponse } from '../local-response.ts'
import type { Outcome, Refusal } from '../observation.ts'
import type { Judged } from '../open-tunnels.ts'
import type { HttpSite } from '../site.ts'
import { describeWay, dial, refusalOf, type Way } from '../tcp.ts'
import type { Destinations, ServiceDestination } from './destinations.ts'
import { NO_CREDENTIAL, UNKNOWN_HOST } from './refusals.ts'

/** What a CONNECT is judged by. */
export interface ConnectRules {
  isOurs(header: string | undefined): boolean
  destinations(pipeline: Pipeline): Destinations
  /** What HTTP inside the tunnel is for. */
  siteInside(destination: ServiceDestination): HttpSite
}

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection Established\r\n\r\n', 'latin1')

/** Endpoints that are tried before the client is told no. */
const MAX_ATTEMPTS = 2

/**
 * One CONNECT (RFC 9110, 9.3.6). To an HTTP service of the mesh the tunnel ends here, and what comes through it is read; to
 * a TCP service it goes through mutual TLS; to what `egress` names it goes out as it is.
 */
export class ConnectTransaction implements Transaction {
  readonly wantsBody = false
  readonly #engine: Engine
  readonly #wire: Http1Wire
  readonly #head: RequestHead
  readonly #rules: ConnectRules
  readonly #decisionId: string
  readonly #timeMs: number
  readonly #startMs: number
  #pipeline: Pipeline | undefined
  #upstream = ''
  #endpoint: string | undefined
  #abort: (() => void) | undefined
  #isOver = false

  constructor(engine: Engine, wire: Http1Wire, head: RequestHead, rules: ConnectRules) {
    this.#engine = engine
    this.#wire = wire
    this.#head = head
    this.#rules = rules
    this.#decisionId = engine.newId()
    this.#timeMs = engine.clock.now()
    this.#startMs = engine.clock.monotonic()
  }

  begin(): void {
    const { host, port = 0, headers } = this.#head
    const engine = this.#engine
    const pipeline = engine.pipeline()
    if (pipeline === undefined) return this.#refuse(refusal(NOT_SERVING), 'failed')
    this.#pipeline = pipeline
    if (!this.#rules.isOurs(headers.get('proxy-authorization'))) return this.#refuse(NO_CREDENTIAL, 'denied')
    engine.upstreams.update(pipeline.config, engine.endpoints())
    const destinations = this.#rules.destinations(pipeline)
    const destination = destinations.service(host, port)
    if (destination?.service.protocol === 'http') return this.#enter(destination)
    if (destination !== undefined) {
      this.#upstream = destination.service.upstream
      return this.#dial(this.#waysTo(destination.service.upstream))
    }
    const egress = destinations.egress(host, port)
    if (egress === undefined) return this.#refuse(UNKNOWN_HOST, 'denied')
    this.#upstream = egress.name
    this.#dial([egress.target])
  }

  onRequestBody(): void {}

  onRequestProblem(): void {}

  flush(): void {}

  onDownstreamDrain(): void {}

  onClientEnd(): boolean {
    this.onClientGone()
    return true
  }

  onClientGone(): void {
    if (this.#isOver) return
    this.#conclude(0, 'aborted', undefined)
    this.#abort?.()
  }

  onDeadline(): void {}

  #enter(destination: ServiceDestination): void {
    this.#upstream = destination.service.upstream
    this.#wire.writer.write(ESTABLISHED)
    this.#conclude(200, 'allowed', undefined)
    this.#wire.enter(this.#rules.siteInside(destination))
  }

  #waysTo(upstream: string): readonly Way[] {
    const group = this.#engine.upstreams.get(upstream)
    const first = group?.pick(this.#startMs)
    if (group === undefined || first === undefined) return []
    const second = group.pick(this.#startMs, first)
    return second === undefined ? [first] : [first, second]
  }

  #dial(ways: readonly Way[], attempt = 0): void {
    const way = ways[attempt]
    if (way === undefined) return this.#refuse(refusal(NO_ENDPOINTS, [['retry-after', '1']]), 'failed')
    this.#endpoint = describeWay(way)
    const client = { destroy: () => this.#wire.abort() }
    const { abort } = dial(this.#engine, client, way, (result) => {
      this.#abort = undefined
      if (this.#isOver) return void (result instanceof UpstreamConnection && result.destroy())
      if (result instanceof UpstreamConnection) return this.#join(result)
      const next = attempt + 1
      if (result instanceof PoolFullError) {
        return this.#refuse(refusal(UPSTREAM_OVERFLOW, [['retry-after', '1']]), 'failed', result.message)
      }
      if (next < ways.length && next < MAX_ATTEMPTS) return this.#dial(ways, next)
      this.#fail(result)
    })
    this.#abort = abort
  }

  #fail(failure: ConnectError): void {
    const outcome = failure.reason === 'forbidden' ? 'denied' : 'failed'
    this.#refuse(refusal(connectDenial(failure)), outcome, `${failure.reason}: ${failure.message}`)
  }

  #join(upstream: UpstreamConnection): void {
    this.#wire.writer.write(ESTABLISHED)
    this.#conclude(200, 'allowed', undefined)
    const about = {
      decisionId: this.#decisionId,
      upstream: this.#upstream,
      endpoint: this.#endpoint,
      rule: undefined,
      wouldDeny: undefined,
      refusal: undefined,
    }
    const judged: Judged = { by: this.#pipeline!, again: (pipeline) => this.#judgeAgain(pipeline) }
    this.#pipeline = undefined
    this.#wire.tunnel(upstream, Buffer.alloc(0), about, judged)
  }

  /** The name must still lead where it led. */
  #judgeAgain(pipeline: Pipeline): Refusal | undefined {
    const { host, port = 0 } = this.#head
    const destinations = this.#rules.destinations(pipeline)
    const service = destinations.service(host, port)?.service
    const isSame =
      service === undefined
        ? destinations.egress(host, port)?.name === this.#upstream
        : service.protocol === 'tcp' && service.upstream === this.#upstream
    return isSame ? undefined : refusalOf(UNKNOWN_HOST.denial.name)
  }

  #refuse({ denial, headers = [] }: Deny, outcome: Outcome, detail?: string): void {
    const close = !this.#head.keepAlive || this.#wire.isClosing()
    this.#wire.writer.write(
      writeLocalResponse({
        status: denial.status,
        headers: [PROBLEM_JSON, ...headers],
        body: problemJson(denial, this.#decisionId),
        toHead: false,
        close,
        nowMs: this.#timeMs,
      }),
    )
    this.#conclude(denial.status, outcome, refusalOf(denial.name, detail))
    this.#wire.finished(!close, this.#engine.clock.monotonic())
  }

  #conclude(status: number, outcome: Outcome, refused: Refusal | undefined): void {
    this.#isOver = true
    const { client, site } = this.#wire
    const { host, port, method } = this.#head
    this.#engine.observer.request({
      timeMs: this.#timeMs,
      durationMs: this.#engine.clock.monotonic() - this.#startMs,
      decisionId: this.#decisionId,
      requestId: this.#decisionId,
      direction: site.direction,
      listener: site.listener(host),
      spiffeId: undefined,
      clientIp: client.peer.ip,
      route: '',
      upstream: this.#upstream,
      endpoint: this.#endpoint,
      method,
      host: `${host}:${port}`,
      path: '',
      status,
      outcome,
      refusal: refused,
      rule: undefined,
      wouldDeny: undefined,
      issuer: undefined,
      subject: undefined,
      bytesIn: 0,
      bytesOut: 0,
      retried: false,
    })
  }
}
