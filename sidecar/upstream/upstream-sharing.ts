/** What the workers of a process have in common of their upstreams: a circuit breaker is of the pod. */
export interface UpstreamSharing {
  /** Of all, this one among them. */
  readonly workers: number
  /** A count by name. Undefined: there are too many names, and each worker has to do with its own part. */
  countOf(name: string): SharedCount | undefined
}

/** How many there are of something, by worker. */
export interface SharedCount {
  /** Tells the others how many this worker has. */
  tell(own: number): void
  /** How many all the others have. */
  others(): number
}

/** What one worker may have of `most`: at least one, for else it would have nothing to do with. */
export function partOf(most: number, workers: number): number {
  return most === Number.POSITIVE_INFINITY ? most : Math.max(1, Math.floor(most / workers))
}
