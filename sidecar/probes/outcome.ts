/**
 * How a probe went. `passed` and `failed`: the app answered, and that was or was not what the kubelet takes for healthy;
 * `unanswered`: it did not.
 */
export type ProbeOutcome =
  | { readonly outcome: 'passed' }
  | { readonly outcome: 'failed'; readonly status: number; readonly reason: string }
  | { readonly outcome: 'unanswered'; readonly reason: string }

export const PASSED: ProbeOutcome = { outcome: 'passed' }

/** What a probe needs to know besides what it is. */
export interface ProbeTarget {
  /** The pod's first address: the kubelet would probe it there. */
  readonly host: string
  /** The kubelet's own, so that an app sees in its log what it saw before. */
  readonly userAgent: string
  /** Aborts when time is up, or nobody waits any more. */
  readonly signal: AbortSignal
}

export function unanswered(error: unknown): ProbeOutcome {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return { outcome: 'unanswered', reason: code ?? (error instanceof Error ? error.message : String(error)) }
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`. */
export function authority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
