import { FieldTable } from './field-table.ts'
import { COMMON_FIELDS, COMPLETE, FIELD_START, HeadScanner, INCOMPLETE, type Scanned, START } from './head-parser.ts'
import { type HeaderFilterSource, protectedNames } from './header-filter.ts'
import type { HeaderLines } from './header-lines.ts'
import { CHUNKED, type Framing, type HeadLimits, NO_BODY, type ResponseHead, UNTIL_CLOSE } from './message.ts'
import { CR, continuesWith, FIELD_VALUE, LF, SP } from './octets.ts'
import type { ProblemReason } from './problem.ts'

export interface ResponseHeadOptions {
  readonly limits?: Partial<HeadLimits>
  /** As for requests: what the backend may not name in `Connection`, nor spell with `_`. */
  readonly trusted?: HeaderFilterSource
}

/** What must be known of a request to find the end of its response (RFC 9112, 6.3). */
export interface Expected {
  readonly method: string
  /** Whether the request was forwarded with its upgrade; a 101 to any other is refused. */
  readonly upgrade?: 'websocket' | undefined
}

/**
 * Reads the heads of the responses of one upstream connection, as strict as towards a client: the backend may be hostile.
 * Every problem is a 502.
 *
 * Call `expect` before the first octet of each response; 1xx responses (but 101) are followed by another head to the same
 * request.
 */
export class ResponseHeadParser extends HeadScanner<ResponseHead> {
  #toHead = false
  #toUpgrade = false
  #minor: 0 | 1 = 1
  #status = 0

  constructor({ limits, trusted }: ResponseHeadOptions = {}) {
    super('upstream', RESPONSE_FIELDS, protectedNames(trusted), limits)
  }

  expect({ method, upgrade }: Expected): void {
    this.#toHead = method === 'HEAD'
    this.#toUpgrade = upgrade === 'websocket'
  }

  protected override scanStartLine(): Scanned {
    const { bytes, limit } = this
    if (this.state === START) {
      const { at } = this
      // `HTTP/1.1 200` and the octet after it.
      if (limit - at < STATUS_LENGTH + 1) return INCOMPLETE
      if (!continuesWith(bytes, at, 'HTTP/1.') || bytes[at + 8] !== SP) return 'bad-status-line'
      const minor = bytes[at + 7]! - DIGIT_ZERO
      if (minor !== 0 && minor !== 1) return 'bad-version'
      const status = readStatus(bytes, at + 9)
      if (status < 100 || status > 599) return 'bad-status'
      this.#minor = minor
      this.#status = status
      this.at = at + STATUS_LENGTH
      // Many servers leave the space out where there is no reason phrase.
      if (bytes[this.at] === SP) this.at++
      else if (bytes[this.at] !== CR) return bytes[this.at] === LF ? 'bare-lf' : 'bad-status-line'
      this.state = REASON
    }
    let { at } = this
    if (this.state === REASON) {
      while (at < limit && FIELD_VALUE[bytes[at]!] === 1) at++
      this.at = at
      if (at === limit) return INCOMPLETE
      if (bytes[at] !== CR) return bytes[at] === LF ? 'bare-lf' : 'bad-status-line'
      this.at = ++at
      this.state = STATUS_LINE_LF
    }
    if (at === limit) return INCOMPLETE
    if (bytes[at] !== LF) return 'bare-cr'
    this.at = at + 1
    this.fieldsStart = this.at
    this.state = FIELD_START
    return COMPLETE
  }

  protected override onField(): undefined {
    return undefined
  }

  protected override finish(headers: HeaderLines): ResponseHead | ProblemReason {
    const { contentLength, isChunked } = this
    const minor = this.#minor
    const status = this.#status
    if (isChunked) {
      if (minor === 0) return 'te-on-http10'
      if (contentLength !== -1) return 'te-and-cl'
    }
    if (status < 200) {
      // HTTP/1.0 knows none of these, and after a close nothing can follow.
      if (minor === 0) return 'bad-status'
      if (this.saysClose) return 'bad-connection-header'
    }
    const isBodyless = status < 200 || status === 204
    // A length of 0 does no harm, and many send it.
    if (isBodyless && (isChunked || contentLength > 0)) return 'body-not-allowed'

    let upgrade: 'websocket' | undefined
    if (status === 101) {
      if (!this.#toUpgrade || !this.saysUpgrade || !this.upgradesToWebSocket) return 'unexpected-upgrade'
      upgrade = 'websocket'
    }
    const framing = isBodyless || status === 304 || this.#toHead ? NO_BODY : this.#framing()
    return {
      kind: 'response',
      status,
      minor,
      interim: status < 200 && status !== 101,
      headers,
      framing,
      declaredLength: framing === NO_BODY && !isBodyless && contentLength !== -1 ? contentLength : undefined,
      keepAlive:
        minor === 1 &&
        !this.saysClose &&
        status !== 101 &&
        framing !== UNTIL_CLOSE &&
        // Some send the chunks too that a 304 only tells of.
        !(status === 304 && isChunked),
      upgrade,
      connectionNames: this.connectionNames,
    }
  }

  #framing(): Framing {
    if (this.isChunked) return CHUNKED
    return this.contentLength === -1 ? UNTIL_CLOSE : { kind: 'length', bytes: this.contentLength }
  }
}

/** Three digits, or 0. */
function readStatus(bytes: Uint8Array, at: number): number {
  let status = 0
  for (let place = at; place < at + 3; place++) {
    const digit = bytes[place]! - DIGIT_ZERO
    if (digit < 0 || digit > 9) return 0
    status = status * 10 + digit
  }
  return status
}

const STATUS_LENGTH = 'HTTP/1.1 200'.length
const DIGIT_ZERO = 0x30

const REASON = 1
const STATUS_LINE_LF = 2

const RESPONSE_FIELDS = new FieldTable(COMMON_FIELDS)
