import type { Facts, RequestView } from '../../model/request.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import type { Allowed } from './answer.ts'
import { valueUnder } from './told-request.ts'

/** Has the application and the client told what a service that allows wants them told. */
export function applyAnswer(
  { upstreamHeaders, removeHeaders, clientHeaders }: Allowed,
  request: RequestView,
  facts: Facts,
): void {
  if (removeHeaders.length > 0) {
    facts.removeRequestHeaders = [...(facts.removeRequestHeaders ?? []), ...removeHeaders]
    facts.setRequestHeaders = (facts.setRequestHeaders ?? []).filter(([name]) => !removeHeaders.includes(name))
  }
  for (const { how, name, value } of upstreamHeaders) {
    const before = valueUnder(name, request, facts)
    if (how === 'add' && before !== undefined) continue
    if (how === 'overwrite' && before === undefined) continue
    const whole = how === 'append' && before !== undefined ? `${before}, ${value}` : value
    const others = (facts.setRequestHeaders ?? []).filter(([each]) => each !== name)
    facts.setRequestHeaders = [...others, [name, whole] satisfies HeaderPair]
  }
  if (clientHeaders.length > 0) {
    facts.addResponseHeaders = [...(facts.addResponseHeaders ?? []), ...clientHeaders]
  }
}
