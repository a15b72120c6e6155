import type { Consideration } from '../../model/filter.ts'
import type { ExternalAnswer, Facts, RequestView } from '../../model/request.ts'
import { explainExemptions } from '../exemptions/explain.ts'
import type { AuthorizerConfig, ExternalAuthorizationConfig } from './config.ts'
import { EXTERNAL_AUTHORIZATION_DENIED, EXTERNAL_AUTHORIZATION_UNAVAILABLE } from './denials.ts'

const FILTER = 'external-authorization'

/**
 * Every exemption and service considered. Nobody is asked here: `facts.externalAnswers` is what services said, of the request's
 * own decision. What nobody asked has not said yes.
 */
export function explainExternalAuthorization(
  config: ExternalAuthorizationConfig,
  request: RequestView,
  facts: Facts,
): readonly Consideration[] {
  const lines = [...explainExemptions(FILTER, config, request)]
  if (lines.some(({ outcome }) => outcome === 'matched')) {
    facts.exempt = true
    const got = `${request.method} ${request.path}`
    return [...lines, { filter: FILTER, outcome: 'allowed', field: 'exempt', expected: 'nobody is asked', got }]
  }
  const answers = facts.externalAnswers?.filter(({ filter }) => filter === FILTER) ?? []
  for (const [i, authorizer] of config.authorizers.entries()) {
    const isOf = (answer: ExternalAnswer | undefined) => answer?.upstream === authorizer.upstream
    const line = explainAnswer(authorizer, isOf(answers[i]) ? answers[i] : answers.find(isOf))
    lines.push(line)
    if (line.outcome === 'denied') break
  }
  return lines
}

function explainAnswer({ upstream }: AuthorizerConfig, answer: ExternalAnswer | undefined): Consideration {
  const common = { filter: FILTER, field: 'answer', expected: `${upstream} allows it` }
  if (answer === undefined) {
    return {
      ...common,
      outcome: 'denied',
      denial: EXTERNAL_AUTHORIZATION_UNAVAILABLE.name,
      got: 'nobody was asked',
      change: 'explain a decision that was made: its answer is known',
    }
  }
  switch (answer.outcome) {
    case 'allowed':
      return { ...common, outcome: 'allowed', got: answer.detail === '' ? 'allowed' : answer.detail }
    case 'failed-open':
      return { ...common, outcome: 'allowed', got: `no answer, and failOpen: ${answer.detail}` }
    case 'denied':
      return {
        ...common,
        outcome: 'denied',
        denial: EXTERNAL_AUTHORIZATION_DENIED.name,
        got: answer.detail,
        change: `ask ${upstream} why it refuses`,
      }
    case 'unavailable':
      return {
        ...common,
        outcome: 'denied',
        denial: EXTERNAL_AUTHORIZATION_UNAVAILABLE.name,
        got: answer.detail,
        change: `have ${upstream} answer`,
      }
  }
}
