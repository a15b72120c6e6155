import { type Check, defineFilter } from '../../model/filter.ts'
import type { RequestView } from '../../model/request.ts'
import { fail, ok } from '../../model/result.ts'
import { CONTINUE, type Deny } from '../../model/verdict.ts'
import { compileExemptions } from '../exemptions/compile.ts'
import { readWire } from '../read-wire.ts'
import { isNavigation } from './browser.ts'
import { OidcConfig } from './config.ts'
import { Cookies } from './cookies.ts'
import { LOGIN_REQUIRED, OIDC_DENIALS } from './denials.ts'
import { explainOidc } from './explain.ts'
import type { Flow, FlowDeps } from './flow.ts'
import { flowMemory } from './flow-memory.ts'
import { placeOf } from './places.ts'

/**
 * Has people log in at the gateway (OpenID Connect, authorization code with PKCE), and keeps their session in sealed cookies. The
 * rest of the mesh sees the access token; applications see no cookie, and have no login code.
 */
export const oidc = defineFilter<OidcConfig>({
  name: 'oidc',
  denials: OIDC_DENIALS,
  // A code can be redeemed once, and so can most refresh tokens.
  repeatable: false,
  tcp: false,
  verifiesToken: true,
  since: () => 3,
  decode: (wire) => readWire(OidcConfig, wire),
  compile(config, deps) {
    const exemptions = compileExemptions(config.exempt, config.exemptWithin)
    if (!exemptions.ok) return fail(...exemptions.issues)
    const cookies = new Cookies(config.cookieName)
    const placeFor = placeOf(config)
    const memory = flowMemory(config, deps)
    const { calls, clock, crypto, revocations } = deps
    const flowDeps: FlowDeps = {
      clock,
      crypto,
      ...(calls !== undefined && { calls }),
      ...(revocations !== undefined && { revocations }),
    }

    let flow: Flow | undefined
    let loading: Promise<Flow> | undefined
    /** Runs once somebody has to log in, and costs nothing before. */
    const withFlow = (run: (flow: Flow) => ReturnType<Check>): ReturnType<Check> => {
      if (flow !== undefined) return run(flow)
      loading ??= import('./flow.ts').then(({ Flow }) => {
        flow = new Flow(config, cookies, memory, flowDeps)
        return flow
      })
      return loading.then(run)
    }

    const check: Check = (request, facts) => {
      const place = placeFor(request)
      if (place !== undefined) return withFlow((flow) => flow.at(place, request))
      cookies.strip(request, facts)
      if (exemptions.value.admits(request)) {
        facts.exempt = true
        return CONTINUE
      }
      if (cookies.hasSession(request) && request.scheme === 'https')
        return withFlow((flow) => flow.judge(request, facts))
      if (!config.required) return CONTINUE
      return isSentToLogIn(request) ? withFlow((flow) => flow.judge(request, facts)) : MISSING
    }
    return ok(check)
  },
  explain: explainOidc,
})

const MISSING: Deny = {
  kind: 'deny',
  denial: LOGIN_REQUIRED,
  headers: [['cache-control', 'no-store']],
}

function isSentToLogIn(request: RequestView): boolean {
  return request.scheme === 'https' && isNavigation(request)
}
