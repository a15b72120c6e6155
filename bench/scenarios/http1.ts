import { haproxy } from '../peers/haproxy.ts'
import { hauberk } from '../peers/hauberk.ts'
import type { Build, Contestant, Scenario } from '../scenario.ts'

/** HTTP/1.1 kept alive, mutual TLS in, plaintext to the application, 1 KB. */
export const http1: Scenario = {
  name: 'http1',
  title: 'HTTP/1.1 keep-alive, mTLS in, plaintext out, 1 KB',
  load: { connections: 32, path: '/orders/1' },
  reference: 'haproxy',
  contestants: [
    {
      name: 'haproxy',
      title: 'HAProxy, mTLS',
      peer: haproxy({ jwt: false }),
      tokens: 0,
      refuses: ['no-certificate', 'foreign-certificate'],
    },
    ...hauberkRows(undefined),
    {
      name: 'haproxy-jwt',
      title: 'HAProxy, mTLS + jwt_verify ES256',
      peer: haproxy({ jwt: true }),
      tokens: 1,
      refuses: [
        'no-certificate',
        'foreign-certificate',
        'no-token',
        'altered-token',
        'expired-token',
        'other-audience',
      ],
    },
  ],
  ours: hauberkRows,
  goals: [
    { contestant: 'hauberk', against: 'haproxy', needed: 1.5, goal: 1.25 },
    { contestant: 'hauberk-jwt', against: 'haproxy-jwt', needed: 0.5, goal: 0.33 },
    { contestant: 'hauberk-jwt-2000', against: 'haproxy-jwt', needed: 0.5, goal: 0.33 },
  ],
}

/** The same where nobody is at the limit: a few thousand requests a second, the same number for all. */
export const http1Paced: Scenario = {
  ...http1,
  name: 'http1-paced',
  title: 'The same at an equal rate',
  load: { ...http1.load, pauseMs: 6 },
}

function hauberkRows(build: Build | undefined): Contestant[] {
  const suffix = build === undefined ? '' : `@${build.name}`
  const title = build === undefined ? 'Hauberk' : `Hauberk (${build.name})`
  const bundle = build?.directory
  const guarded = hauberk({ policy: 'jwt-limit', bundle })
  const refuses = [
    'no-certificate',
    'foreign-certificate',
    'other-identity',
    'no-token',
    'altered-token',
    'expired-token',
    'other-audience',
    'over-limit',
  ] as const
  return [
    {
      name: `hauberk${suffix}`,
      title: `${title}, mTLS + identity rule`,
      peer: hauberk({ policy: 'identity', bundle }),
      tokens: 0,
      refuses: ['no-certificate', 'foreign-certificate', 'other-identity'],
    },
    {
      name: `hauberk-jwt${suffix}`,
      title: `${title}, mTLS + ES256 JWT + limit, 1 token`,
      peer: guarded,
      tokens: 1,
      refuses,
    },
    {
      name: `hauberk-jwt-2000${suffix}`,
      title: `${title}, mTLS + ES256 JWT + limit, 2,000 tokens`,
      peer: guarded,
      tokens: 2_000,
      refuses,
    },
  ]
}
