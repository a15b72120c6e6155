/** The policy that a config came from. */
export interface Origin {
  readonly kind: string
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string
  readonly name: string
  readonly generation: number
}

/** `namespace/name@generation`, or `name@generation` for a cluster-scoped policy. */
export function formatOrigin({ namespace, name, generation }: Origin): string {
  return `${namespace === undefined ? '' : `${namespace}/`}${name}@${generation}`
}
