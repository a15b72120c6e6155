import type { ByteStream, ByteStreamUser } from '../upstream/byte-stream.ts'
import type { Deadline } from '../upstream/deadlines.ts'
import type { Engine } from './engine.ts'
import type { ConnectionRecord } from './observation.ts'

/** Milliseconds that one side is given to take what is left after the other is gone. */
const LINGER_MS = 2_000

export type TunnelAbout = Omit<
  ConnectionRecord,
  'timeMs' | 'durationMs' | 'outcome' | 'bytesIn' | 'bytesOut' | 'plaintext'
>

/**
 * Bytes both ways between a client and an upstream, unread. Each direction ends for itself (half-close is kept), and a
 * side that does not read is not read to: what waits for it is one read at most.
 *
 * The caller resumes the client's side. It is told of when the client's side is closed.
 */
export function startTunnel(engine: Engine, client: ByteStream, upstream: ByteStream, about: TunnelAbout): Tunnel {
  return new Tunnel(engine, client, upstream, about)
}

export class Tunnel {
  readonly #engine: Engine
  readonly #client: ByteStream
  readonly #upstream: ByteStream
  readonly about: TunnelAbout
  #wouldDeny: ConnectionRecord['wouldDeny']
  readonly #timeMs: number
  readonly #startMs: number
  readonly #deadline: Deadline
  /** Called once, when it is over. */
  whenOver: (() => void) | undefined
  /** Is shown what the upstream sends before it is passed on, until it says that it has seen enough. The bytes are lent. */
  watchUpstream: ((bytes: Buffer, length: number) => boolean) | undefined
  #bytesIn = 0
  #bytesOut = 0
  #isHalfClosed = false
  #isUpstreamClosed = false
  #error: Error | undefined
  #refusal: ConnectionRecord['refusal']

  constructor(engine: Engine, client: ByteStream, upstream: ByteStream, about: TunnelAbout) {
    this.#engine = engine
    this.#client = client
    this.#upstream = upstream
    this.about = about
    this.#refusal = about.refusal
    this.#wouldDeny = about.wouldDeny
    this.#timeMs = engine.clock.now()
    this.#startMs = engine.clock.monotonic()
    this.#deadline = engine.deadlines.create(() => this.destroy())
    this.#touch()
    client.user = this.#ofClient
    upstream.user = this.#ofUpstream
    if (upstream.isClosed) this.#onUpstreamClose(undefined)
  }

  /** `chunk` is the tunnel's from now on. */
  sendToUpstream(chunk: Buffer): void {
    if (this.#isUpstreamClosed) return
    this.#bytesIn += chunk.length
    this.#touch()
    if (!this.#upstream.write(chunk)) this.#client.pause()
  }

  /** `chunk` is the tunnel's from now on. */
  sendToClient(chunk: Buffer): void {
    this.#bytesOut += chunk.length
    this.#touch()
    if (!this.#client.write(chunk)) this.#upstream.pause()
  }

  /** The client sends nothing more. */
  endUpstream(): void {
    this.#isHalfClosed = true
    this.#upstream.end()
    this.#touch()
  }

  /** What a dry run says of it, now that it knows more than when the tunnel began. */
  noteDryRun(wouldDeny: ConnectionRecord['wouldDeny']): void {
    this.#wouldDeny = wouldDeny
  }

  /** Cut because policy no longer allows it. */
  cut(refusal: NonNullable<ConnectionRecord['refusal']>): void {
    this.#refusal = refusal
    this.destroy()
  }

  destroy(): void {
    this.#client.destroy()
  }

  readonly #ofClient: ByteStreamUser = {
    onBytes: (bytes, length) => this.sendToUpstream(owned(this.#client, bytes, length)),
    onDrain: () => this.#upstream.resume(),
    onEnd: () => this.endUpstream(),
    onClose: () => this.#onClientClose(),
  }

  readonly #ofUpstream: ByteStreamUser = {
    onBytes: (bytes, length) => {
      if (this.watchUpstream?.(bytes, length) === true) this.watchUpstream = undefined
      this.sendToClient(owned(this.#upstream, bytes, length))
    },
    onDrain: () => this.#client.resume(),
    onEnd: () => {
      this.#isHalfClosed = true
      this.#client.end()
      this.#touch()
    },
    onClose: (error) => this.#onUpstreamClose(error),
  }

  #onUpstreamClose(error: Error | undefined): void {
    this.#isUpstreamClosed = true
    if (error !== undefined) {
      this.#error = error
      this.#client.destroy()
      return
    }
    const { deadlines, limits } = this.#engine
    deadlines.set(this.#deadline, limits.bodyMs)
    this.#client.end(() => {
      if (!this.#client.isClosed) deadlines.set(this.#deadline, LINGER_MS)
    })
    this.#client.resume()
  }

  #touch(): void {
    const { tunnelIdleMs, idleMs } = this.#engine.limits
    // A peer that has closed both of its sides looks as if it had closed one: it is not waited for as long.
    this.#engine.deadlines.set(this.#deadline, this.#isHalfClosed ? Math.min(idleMs, tunnelIdleMs) : tunnelIdleMs)
  }

  #onClientClose(): void {
    const { clock, deadlines, observer } = this.#engine
    deadlines.remove(this.#deadline)
    // Its end is nobody's concern any more: told of it, the tunnel would wait for a client that is gone.
    this.#upstream.user = undefined
    this.#upstream.destroy()
    observer.connection({
      ...this.about,
      timeMs: this.#timeMs,
      durationMs: clock.monotonic() - this.#startMs,
      outcome: this.#refusal !== undefined ? 'denied' : this.#error !== undefined ? 'failed' : 'allowed',
      refusal: this.#refusal,
      wouldDeny: this.#wouldDeny,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      plaintext: false,
    })
    this.whenOver?.()
  }
}

function owned({ lends }: ByteStream, bytes: Buffer, length: number): Buffer {
  return lends ? Buffer.from(bytes.subarray(0, length)) : bytes
}
