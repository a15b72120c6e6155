import type { RouteConfig } from '../../contract/workload-config.ts'
import type { ExternalAnswer, VerifiedToken } from '../../model/request.ts'
import type { Denial } from '../../model/verdict.ts'
import type { ExternalAuthorizationConfig } from '../../policies/external-authorization/config.ts'
import { externalAuthorization } from '../../policies/external-authorization/filter.ts'
import type { JwtConfig } from '../../policies/jwt/config.ts'
import { jwt } from '../../policies/jwt/filter.ts'
import { type Explanation, explain } from '../../sidecar/compile/explain.ts'
import type { Chain, Pipeline, Step } from '../../sidecar/compile/pipeline.ts'
import {
  MISDIRECTED,
  NO_ROUTE,
  NOT_SERVING,
  PLAINTEXT_REFUSED,
  UNRECOGNIZED_NAME,
} from '../../sidecar/serve/denials.ts'
import { createHostIndex } from '../../sidecar/serve/gateway.ts'
import { listenerFor } from '../../sidecar/serve/stream-port.ts'
import { type Asked, type Claims, viewOf } from './asked.ts'

/** What a sidecar or gateway would say to a request. */
export type Judgement =
  /** Nothing was asked of any policy. */
  | { readonly kind: 'unrouted'; readonly denial: Denial }
  | {
      readonly kind: 'judged'
      readonly explanation: Explanation
      readonly chain: Chain
      /** Undefined for a connection of opaque TCP. */
      readonly route: RouteConfig | undefined
    }

/** Judges as the data plane would, up to the policies; `chainOf` may put another chain in the place of the route's. */
export function judge(
  pipeline: Pipeline,
  asked: Asked,
  chainOf: (chain: Chain) => Chain = (chain) => chain,
): Judgement {
  const found = pipeline.config.role === 'gateway' ? atGateway(pipeline, asked) : atSidecar(pipeline, asked)
  if ('name' in found) return { kind: 'unrouted', denial: found }
  const chain = chainOf(found.chain)
  const token = asked.claims === undefined ? undefined : tokenOf(asked.claims, chain)
  const explanation = explain(chain, viewOf(asked), {
    ...(token !== undefined && { token }),
    ...(asked.client !== undefined && { client: { id: asked.client } }),
    externalAnswers: assumedAnswers(chain),
  })
  return { kind: 'judged', explanation, chain, route: found.route }
}

/** Nobody is asked about a request that nobody has sent: services are taken to allow it, as limits are taken as not reached. */
function assumedAnswers({ enforced, shadow = [] }: Chain): ExternalAnswer[] {
  return [...enforced, ...shadow]
    .filter((step) => step.filter === externalAuthorization && step.unresolved === undefined)
    .flatMap(({ filter, config }) =>
      (config as ExternalAuthorizationConfig).authorizers.map(
        ({ upstream }): ExternalAnswer => ({
          ...{ filter: filter.name, upstream, outcome: 'allowed' },
          detail: 'taken as allowed: nobody is asked here',
        }),
      ),
    )
}

interface Found {
  readonly chain: Chain
  readonly route: RouteConfig | undefined
}

function atSidecar(pipeline: Pipeline, asked: Asked): Found | Denial {
  const inbound = pipeline.inbound.get(asked.port)
  if (inbound === undefined) return NOT_SERVING
  if (inbound.listener.mtls === 'Strict' && asked.caller === undefined) return PLAINTEXT_REFUSED
  if (inbound.listener.protocol === 'tcp') return { chain: inbound.tcp, route: undefined }
  const route = inbound.route(viewOf(asked))
  return route === undefined ? NO_ROUTE : { chain: route.chain, route: route.config }
}

function atGateway(pipeline: Pipeline, asked: Asked): Found | Denial {
  if (asked.protocol === 'tcp') return atStream(pipeline, asked)
  const names = [...pipeline.gateway.values()]
    .filter(({ listener }) => listener.port === asked.port)
    .map(({ listener }) => listener.name)
  if (names.length === 0) return NOT_SERVING
  const gateway = createHostIndex(() => names, asked.scheme).find(pipeline, asked.host)
  if (gateway === undefined) return asked.scheme === 'https' ? MISDIRECTED : NO_ROUTE
  const route = gateway.route(viewOf(asked))
  return route === undefined ? NO_ROUTE : { chain: route.chain, route: route.config }
}

function atStream({ streams }: Pipeline, { port, serverName }: Asked): Found | Denial {
  const ofPort = [...streams.values()].filter(({ listener }) => listener.port === port)
  const [first] = ofPort
  if (first === undefined) return NOT_SERVING
  const isTls = first.listener.protocol === 'tls'
  const route = (isTls ? listenerFor(ofPort, serverName) : first)?.route(serverName)
  if (route === undefined) return isTls ? UNRECOGNIZED_NAME : NO_ROUTE
  return { chain: route.chain, route: undefined }
}

/** The config that tokens are verified by here; undefined where nothing verifies any. */
export function jwtConfigOf({ enforced }: Chain): JwtConfig | undefined {
  return jwtConfigIn(enforced)
}

function jwtConfigIn(steps: readonly Step[]): JwtConfig | undefined {
  return verifyingStep(steps.filter(({ unresolved }) => unresolved === undefined))?.config as JwtConfig | undefined
}

/** The step that tokens are verified by: of users', where it is more than one. */
export function verifyingStep(steps: readonly Step[]): Step | undefined {
  const verifying = steps.filter(({ filter }) => filter.verifiesToken === true)
  return verifying.find(({ filter }) => filter === jwt) ?? verifying[0]
}

/** Of all that verify tokens. */
function issuersIn(steps: readonly Step[]): JwtConfig['issuers'] {
  return steps
    .filter(({ filter, unresolved }) => filter.verifiesToken === true && unresolved === undefined)
    .flatMap(({ config }) => (config as Pick<JwtConfig, 'issuers'>).issuers)
}

/**
 * The token that has these claims. Of several TokenIssuers with its `iss`, the first whose audience it is for; claims
 * without `iss` are of the only issuer there is. Issuers that only a dry run knows count as well.
 */
export function tokenOf(claims: Claims, { enforced, shadow = [] }: Chain): VerifiedToken {
  const issuers = [...issuersIn(enforced), ...issuersIn(shadow)]
  const { iss, aud, exp, sub } = claims
  const isOnly = new Set(issuers.map(({ name }) => name)).size === 1
  const candidates = iss === undefined && isOnly ? issuers : issuers.filter(({ issuer }) => issuer === iss)
  const audiences = [aud].flat()
  const issuer = candidates.find((each) => each.audiences.some((name) => audiences.includes(name))) ?? candidates[0]
  const name = issuer?.issuer ?? (typeof iss === 'string' ? iss : 'nobody')
  return {
    issuer: issuer?.name ?? name,
    iss: name,
    ...(typeof sub === 'string' && { subject: sub }),
    claims,
    expiresAt: typeof exp === 'number' ? exp : 0,
  }
}
