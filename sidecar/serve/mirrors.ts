import type { Mirror } from '../../contract/traffic.ts'
import type { Clock } from '../../runtime/clock.ts'
import { ConnectError } from '../upstream/connect.ts'
import type { Deadline, Deadlines } from '../upstream/deadlines.ts'
import { type EndpointPool, type OpenedStream, PoolFullError } from '../upstream/pool.ts'
import type { HttpVersion, UpstreamStream, UpstreamStreamUser } from '../upstream/upstream-stream.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import type { RequestToWrite } from './http1/write-head.ts'

/** Copies that are under way at once; what would be one more is not sent. */
export const MAX_MIRRORED = 128

/** Bytes of a body that is copied; a request with a longer one is not. */
export const MAX_MIRRORED_BODY_BYTES = 65_536

/** Milliseconds that a copy may take from beginning to end. */
const MIRROR_MS = 15_000

/** A request that is to be copied, as far as it has come. */
export class Copy {
  readonly upstreams: readonly string[]
  #body: Buffer[] = []
  #bytes = 0

  constructor(upstreams: readonly string[]) {
    this.upstreams = upstreams
  }

  get body(): readonly Buffer[] {
    return this.#body
  }

  get isTooLong(): boolean {
    return this.#bytes > MAX_MIRRORED_BODY_BYTES
  }

  /** `slices` are lent. */
  add(slices: readonly Buffer[]): void {
    for (const slice of slices) this.#bytes += slice.length
    if (this.isTooLong) this.#body = []
    else for (const slice of slices) this.#body.push(Buffer.from(slice))
  }
}

/** Sends copies of requests to whom they are to be shown, and cares for nothing that becomes of them. */
export class Mirrors {
  readonly #upstreams: Upstreams
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #random: () => number
  readonly #underWay = new Set<MirroredRequest>()

  constructor(upstreams: Upstreams, clock: Clock, deadlines: Deadlines, random: () => number) {
    this.#upstreams = upstreams
    this.#clock = clock
    this.#deadlines = deadlines
    this.#random = random
  }

  /** How many are under way. */
  get size(): number {
    return this.#underWay.size
  }

  /** What this request is to be copied to; undefined: nothing. */
  begin(mirrors: readonly Mirror[]): Copy | undefined {
    const wanted = mirrors.filter(({ numerator, denominator }) => this.#random() * denominator < numerator)
    return wanted.length === 0 ? undefined : new Copy(wanted.map(({ upstream }) => upstream))
  }

  /** Sends what was copied; `message` is what the request itself was sent as. */
  send({ upstreams, body, isTooLong }: Copy, message: RequestToWrite, preferred: HttpVersion): void {
    const isCopied = !isTooLong && message.upgrade === undefined
    for (const name of upstreams) {
      const nowMs = this.#clock.monotonic()
      const pool = isCopied ? this.#upstreams.get(name)?.pick(nowMs) : undefined
      const isDropped = pool === undefined || this.#underWay.size >= MAX_MIRRORED
      this.#upstreams.events.mirrored(name, isDropped ? 'dropped' : 'sent')
      if (isDropped) continue
      const mirrored: MirroredRequest = new MirroredRequest(pool, message, body, this.#clock, this.#deadlines, () =>
        this.#underWay.delete(mirrored),
      )
      this.#underWay.add(mirrored)
      mirrored.begin(preferred, nowMs)
    }
  }

  close(): void {
    for (const mirrored of this.#underWay) mirrored.giveUp()
  }
}

/** One copy on its way: what comes back is read to its end, so that the connection can be kept, and forgotten. */
class MirroredRequest implements UpstreamStreamUser {
  readonly #pool: EndpointPool
  readonly #message: RequestToWrite
  readonly #body: readonly Buffer[]
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #deadline: Deadline
  readonly #onOver: () => void
  #connecting: { abort(): void } | undefined
  #stream: UpstreamStream | undefined
  #isOver = false

  constructor(
    pool: EndpointPool,
    message: RequestToWrite,
    body: readonly Buffer[],
    clock: Clock,
    deadlines: Deadlines,
    onOver: () => void,
  ) {
    this.#pool = pool
    this.#message = message
    this.#body = body
    this.#clock = clock
    this.#deadlines = deadlines
    this.#deadline = deadlines.create(() => this.giveUp())
    this.#onOver = onOver
  }

  begin(preferred: HttpVersion, nowMs: number): void {
    this.#deadlines.set(this.#deadline, MIRROR_MS, nowMs)
    const kept = this.#pool.takeStream(nowMs, preferred)
    if (kept !== undefined) this.#send(kept)
    else this.#connecting = this.#pool.openStream(preferred, (opened) => this.#onOpened(opened))
  }

  giveUp(): void {
    const stream = this.#stream
    const connecting = this.#connecting
    this.#stream = undefined
    this.#connecting = undefined
    this.#over()
    stream?.drop()
    connecting?.abort()
  }

  onInterim(): void {}

  onResponseHead(): void {}

  onResponseBody(_slices: readonly Buffer[], done: boolean): void {
    if (!done) return
    const stream = this.#stream
    this.#stream = undefined
    stream?.release(this.#clock.monotonic())
    this.#over()
  }

  onSwitched(_head: unknown, bytes: { destroy(): void }): void {
    bytes.destroy()
    this.#stream = undefined
    this.#over()
  }

  onUpstreamBroken(): void {
    this.#stream = undefined
    this.#over()
  }

  onUpstreamDrain(): void {}

  onFault(): void {
    this.giveUp()
  }

  #onOpened(opened: OpenedStream): void {
    this.#connecting = undefined
    if (opened instanceof ConnectError || opened instanceof PoolFullError) {
      if (opened instanceof ConnectError && !this.#isOver) this.#pool.health.fail(this.#clock.monotonic())
      return this.#over()
    }
    if (this.#isOver) opened.drop()
    else this.#send(opened)
  }

  #send(stream: UpstreamStream): void {
    this.#stream = stream
    stream.user = this
    if (typeof stream.sendHead(this.#message, this.#body, true, undefined) !== 'boolean') this.giveUp()
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#deadlines.remove(this.#deadline)
    this.#onOver()
  }
}
