import type { Peer } from './peers/peer.ts'

/** One load, and the proxies that it is put on in turn. */
export interface Scenario {
  /** For the command line. */
  readonly name: string
  readonly title: string
  readonly load: Load
  readonly contestants: readonly Contestant[]
  /** Name of the contestant that ratios are to. */
  readonly reference: string
  readonly goals: readonly Goal[]
  /** Our rows once more, of another bundle. */
  readonly ours: (build: Build) => readonly Contestant[]
}

/** A bundle of hauberk, and what to call it. */
export interface Build {
  readonly name: string
  readonly directory: string
}

/** What the generator does: GET over kept-alive HTTP/1.1 connections with a client certificate. */
export interface Load {
  readonly connections: number
  readonly path: string
  /**
   * Milliseconds that a connection waits between an answer and its next request: about `connections / pauseMs` requests
   * per millisecond then, the same for everybody who can keep up. Absent: as fast as answers come.
   */
  readonly pauseMs?: number
}

/** A proxy as one row of the table. */
export interface Contestant {
  readonly name: string
  readonly title: string
  readonly peer: Peer
  /** How many different tokens the requests have, in turn; 0: no token at all. */
  readonly tokens: number
  /** What it must refuse, shown before and after each round: a proxy that lets it pass is not measured. */
  readonly refuses: readonly Refusal[]
}

export type Refusal =
  /** No client certificate: the handshake, or the first read after it, fails. */
  | 'no-certificate'
  /** A certificate of another CA: the same. */
  | 'foreign-certificate'
  /** A certificate of the mesh whose identity no rule allows: 403. */
  | 'other-identity'
  /** No token: 401. */
  | 'no-token'
  /** A token that ends differently: 401. */
  | 'altered-token'
  /** A token of yesterday: 401. */
  | 'expired-token'
  /** A token for somebody else: 401. */
  | 'other-audience'
  /** A second request to a path that takes one in an hour: 429. */
  | 'over-limit'

/** A ratio of CPU per request that is aimed at. */
export interface Goal {
  readonly contestant: string
  readonly against: string
  readonly needed: number
  readonly goal: number
}
