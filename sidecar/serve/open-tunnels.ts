import type { Pipeline } from '../compile/pipeline.ts'
import type { Refusal } from './observation.ts'
import type { Tunnel, TunnelAbout } from './tunnel.ts'

/** Who let a tunnel in, and who would now. */
export interface Judged {
  readonly by: Pipeline
  /** Why it may not stay, by a newer pipeline; undefined: it may. */
  again(pipeline: Pipeline): Refusal | undefined | Promise<Refusal | undefined>
}

/**
 * The connections that pass bytes unread: opaque TCP, WebSocket and CONNECT. They were judged once, when they began, and
 * are judged again when policy changes. Bounded by the connection table.
 */
export class OpenTunnels {
  readonly #open = new Map<Tunnel, Judged>()
  readonly #newest: () => Pipeline | undefined

  constructor(newest: () => Pipeline | undefined) {
    this.#newest = newest
  }

  get size(): number {
    return this.#open.size
  }

  *about(): Iterable<TunnelAbout> {
    for (const { about } of this.#open.keys()) yield about
  }

  add(tunnel: Tunnel, judged: Judged): void {
    this.#open.set(tunnel, judged)
    tunnel.whenOver = () => this.#open.delete(tunnel)
    // Policy may have changed while the other end was being connected.
    const newest = this.#newest()
    if (newest !== undefined && newest !== judged.by) judge(tunnel, judged, newest)
  }

  /** Cuts those that the newest policies would not let in. */
  judgeAgain(pipeline: Pipeline): void {
    for (const [tunnel, judged] of [...this.#open]) judge(tunnel, judged, pipeline)
  }
}

function judge(tunnel: Tunnel, judged: Judged, pipeline: Pipeline): void {
  const cutIfRefused = (refusal: Refusal | undefined) => {
    if (refusal !== undefined) tunnel.cut(refusal)
  }
  const refusal = judged.again(pipeline)
  if (refusal instanceof Promise) void refusal.then(cutIfRefused)
  else cutIfRefused(refusal)
}
