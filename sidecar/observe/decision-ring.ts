import { type Explanation, explain } from '../compile/explain.ts'
import type { Evidence, RequestRecord } from '../serve/observation.ts'

/** The newest decisions that a policy had something against, to be explained on request. */
export interface DecisionRing {
  /** `evidence` may hold a token; none of it is ever shown as it is. */
  add(record: RequestRecord, evidence: Evidence): void
  explain(decisionId: string): ExplainedDecision | undefined
}

/**
 * A decision with its explanation. Who refused, and why, is as it was decided then: a clock, a signature or a limit that
 * is reached are nothing that an explanation of now can see.
 */
export interface ExplainedDecision extends Explanation {
  readonly decisionId: string
  /** RFC 3339. */
  readonly time: string
  readonly route: string
  readonly method: string
  readonly host: string
  readonly path: string
  readonly port: number
  readonly clientIp: string
  readonly caller?: string
  readonly issuer?: string
  readonly subject?: string
  readonly client?: string
  /** What the refusal said of itself in the log. */
  readonly detail?: string
}

/** Decisions that are remembered. Each may hold a head of 16 KiB, so this bounds the memory to 8 MiB. */
export const MAX_DECISIONS = 512

export function createDecisionRing(): DecisionRing {
  const ring = new Map<string, { readonly record: RequestRecord; readonly evidence: Evidence }>()
  return {
    add(record, evidence) {
      ring.set(record.decisionId, { record, evidence })
      if (ring.size > MAX_DECISIONS) ring.delete(ring.keys().next().value as string)
    },
    explain(decisionId) {
      const kept = ring.get(decisionId)
      if (kept === undefined) return undefined
      const { record, evidence } = kept
      const { request, facts, chain, route } = evidence
      return {
        ...asDecided(explain(chain, request, facts), record),
        decisionId,
        time: new Date(record.timeMs).toISOString(),
        route,
        method: record.method,
        host: record.host,
        path: record.path,
        port: request.port,
        clientIp: record.clientIp,
        ...(record.spiffeId !== undefined && { caller: record.spiffeId }),
        ...(record.issuer !== undefined && { issuer: record.issuer }),
        ...(record.subject !== undefined && { subject: record.subject }),
        ...(record.client !== undefined && { client: record.client }),
      }
    },
  }
}

function asDecided(explanation: Explanation, { refusal, status }: RequestRecord): Explanation & { detail?: string } {
  if (refusal === undefined) return explanation
  const { denial, filter, rule, origins, detail } = refusal
  const { considerations, dryRun, change } = explanation
  return {
    outcome: 'denied',
    denial,
    status,
    ...(filter !== undefined && { filter }),
    ...(rule !== undefined && { rule }),
    origins,
    ...(detail !== undefined && { detail }),
    ...(change !== undefined && explanation.denial === denial && { change }),
    considerations,
    ...(dryRun && { dryRun }),
  }
}
