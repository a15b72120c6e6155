import type { Facts, RequestView } from '../../model/request.ts'
import { type Explanation, explain } from '../compile/explain.ts'
import type { Chain } from '../compile/pipeline.ts'

/** What a decision was made of: enough to explain it later. It may hold a token; none of it is ever shown as it is. */
export interface Evidence {
  readonly request: RequestView
  readonly facts: Facts
  readonly chain: Chain
  readonly route: string
}

/** The newest refusals, to be explained on request. */
export interface DecisionRing {
  add(decisionId: string, evidence: Evidence): void
  explain(decisionId: string): ExplainedDecision | undefined
}

export interface ExplainedDecision extends Explanation {
  readonly decisionId: string
  readonly route: string
  readonly method: string
  readonly host: string
  readonly path: string
  readonly caller?: string
  readonly issuer?: string
  readonly subject?: string
}

/** Refusals that are remembered. Each may hold a head of 16 KiB, so this bounds the memory to 8 MiB. */
export const MAX_DECISIONS = 512

export function createDecisionRing(): DecisionRing {
  const ring = new Map<string, Evidence>()
  return {
    add(decisionId, evidence) {
      ring.set(decisionId, evidence)
      if (ring.size > MAX_DECISIONS) ring.delete(ring.keys().next().value as string)
    },
    explain(decisionId) {
      const evidence = ring.get(decisionId)
      if (evidence === undefined) return undefined
      const { request, facts, chain, route } = evidence
      const { token } = facts
      return {
        ...explain(chain, request, facts),
        decisionId,
        route,
        method: request.method,
        host: request.host,
        path: request.path,
        ...(request.peer.spiffeId !== undefined && { caller: request.peer.spiffeId }),
        ...(token && { issuer: token.issuer }),
        ...(token?.subject !== undefined && { subject: token.subject }),
      }
    },
  }
}
