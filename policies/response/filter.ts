import { defineFilter } from '../../model/filter.ts'
import type { RefusalForm } from '../../model/request.ts'
import { ok } from '../../model/result.ts'
import { CONTINUE, type HeaderPair } from '../../model/verdict.ts'
import { readWire } from '../read-wire.ts'
import { ResponseConfig } from './config.ts'

/**
 * Says how responses look: the headers that each gets, and the form in which refusals are told.
 *
 * It refuses nothing. It comes first, so that what it says is known when another filter refuses.
 */
export const response = defineFilter<ResponseConfig>({
  name: 'response',
  denials: [],
  repeatable: true,
  tcp: false,
  decode: (wire) => readWire(ResponseConfig, wire),
  compile({ deniedStatus, format, hidesExistence, hsts, headers }) {
    const refusalForm: RefusalForm = Object.freeze({ deniedStatus, format, hidesExistence })
    // RFC 6797, 7.2: never over plaintext, where anybody could have written it.
    const secure: readonly HeaderPair[] =
      hsts === undefined ? headers : [...headers, ['strict-transport-security', hsts]]
    return ok((request, facts) => {
      facts.refusalForm = refusalForm
      const own = request.scheme === 'https' ? secure : headers
      if (own.length > 0) facts.setResponseHeaders = [...(facts.setResponseHeaders ?? []), ...own]
      return CONTINUE
    })
  },
  explain: () => [],
})
