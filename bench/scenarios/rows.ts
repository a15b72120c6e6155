import { bareNode } from '../peers/bare.ts'
import { envoy } from '../peers/envoy.ts'
import { haproxy } from '../peers/haproxy.ts'
import { hauberk } from '../peers/hauberk.ts'
import type { Build, Contestant, Figure, Refusal } from '../scenario.ts'

/** Rows of more than one scenario. */

export const MTLS_REFUSALS = ['no-certificate', 'foreign-certificate'] as const satisfies readonly Refusal[]
export const IDENTITY_REFUSALS = [...MTLS_REFUSALS, 'other-identity'] as const satisfies readonly Refusal[]
const TOKEN_REFUSALS = ['no-token', 'altered-token', 'expired-token', 'other-audience'] as const
export const ALL_REFUSALS = [
  ...IDENTITY_REFUSALS,
  ...TOKEN_REFUSALS,
  'over-limit',
] as const satisfies readonly Refusal[]

export const HAPROXY: Contestant = {
  name: 'haproxy',
  title: 'HAProxy, mTLS',
  peer: haproxy(),
  tokens: 0,
  refuses: MTLS_REFUSALS,
}

export const HAPROXY_JWT: Contestant = {
  name: 'haproxy-jwt',
  title: 'HAProxy, mTLS + jwt_verify ES256',
  peer: haproxy({ jwt: true }),
  tokens: 1,
  refuses: [...MTLS_REFUSALS, ...TOKEN_REFUSALS],
}

export const ENVOY: Contestant = {
  name: 'envoy',
  title: 'Envoy, mTLS + RBAC',
  peer: envoy(),
  tokens: 0,
  refuses: IDENTITY_REFUSALS,
}

export function envoyJwt(tokens: number): Contestant {
  return {
    name: tokens === 1 ? 'envoy-jwt' : `envoy-jwt-${tokens}`,
    title: `Envoy, mTLS + RBAC + JWT (cached) + limit, ${countOf(tokens)}`,
    peer: envoy({ jwt: true }),
    tokens,
    refuses: ALL_REFUSALS,
  }
}

/** What runs on Node costs no less. */
export const BARE_NODE: Contestant = {
  name: 'bare-node',
  title: "Node's tls and net alone",
  peer: bareNode(),
  tokens: 0,
  refuses: MTLS_REFUSALS,
}

/** A row of ours that has no token. */
export function hauberkIdentity(build?: Build): Contestant {
  return {
    ...namedFor('hauberk', 'mTLS + identity rule', build),
    peer: hauberk({ policy: 'identity', bundle: build?.directory }),
    tokens: 0,
    refuses: IDENTITY_REFUSALS,
  }
}

export function hauberkJwt(tokens: number, build?: Build): Contestant {
  const name = tokens === 1 ? 'hauberk-jwt' : `hauberk-jwt-${tokens}`
  return {
    ...namedFor(name, `mTLS + ES256 JWT + limit, ${countOf(tokens)}`, build),
    peer: hauberk({ policy: 'jwt-limit', bundle: build?.directory }),
    tokens,
    refuses: ALL_REFUSALS,
  }
}

/** Name and title of a row of ours, of this tree or of another build. */
export function namedFor(name: string, does: string, build: Build | undefined): Pick<Contestant, 'name' | 'title'> {
  return build === undefined
    ? { name, title: `Hauberk, ${does}` }
    : { name: `${name}@${build.name}`, title: `Hauberk (${build.name}), ${does}` }
}

function countOf(tokens: number): string {
  return tokens === 1 ? '1 token' : `${tokens.toLocaleString('en')} tokens`
}

/** Columns of a scenario that puts a closed loop on proxies. */
export const LOAD_FIGURES: readonly Figure[] = [
  { key: 'cpuUs', title: 'CPU us/request', unit: 'us', isRatio: true },
  { key: 'perSecond', title: 'requests/s', unit: 'count' },
  { key: 'cpuShare', title: 'of its core', unit: 'share' },
  { key: 'anonymous', title: 'RssAnon loaded', unit: 'MiB' },
]
