import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { INTERNAL_TOKENS } from '../../model/internal-tokens.ts'
import type { Facts, VerifiedToken } from '../../model/request.ts'
import { testDeps } from '../testing/deps.ts'
import { type RequestWords, requestOf } from '../testing/request.ts'
import type { JwtConfig } from './config.ts'
import { jwt } from './filter.ts'
import { forwardOf } from './forward.ts'

const CONFIG: JwtConfig = {
  required: true,
  issuers: [
    {
      name: 'corp',
      issuer: 'https://corp.example',
      audiences: ['api'],
      algorithms: ['ES256'],
      types: [],
      clockSkewMs: 0,
      maxTokenBytes: 8_192,
      maxDepth: 16,
      cache: { maxEntries: 0, maxBytes: 0, maxAgeMs: 0 },
    },
  ],
  locations: [{ kind: 'header', name: 'authorization', scheme: 'bearer' }],
  forward: 'strip',
  claimHeaders: [{ claim: '/sub', header: 'x-user' }],
  exempt: [],
  exemptWithin: [],
}

function internalOf(issuer: string): VerifiedToken {
  const claims = { sub: 'ann', rctx: { issuer } }
  return { issuer: INTERNAL_TOKENS, iss: 'mesh', subject: 'ann', claims, expiresAt: 0 }
}

/** What the check says of a request that came with an internal token, and what explanations say of the same. */
async function judge(token: VerifiedToken, words: RequestWords = {}, change: Partial<JwtConfig> = {}) {
  const config = { ...CONFIG, ...change }
  const compiled = jwt.compile(config, testDeps())
  assert.ok(compiled.ok)
  const facts: Facts = { token }
  const verdict = await compiled.value(requestOf(words), facts)
  const said = verdict.kind === 'deny' ? verdict.denial.name : verdict.kind
  const denied = jwt.explain(config, requestOf(words), { token }).filter(({ outcome }) => outcome === 'denied')
  assert.deepEqual(
    denied.map(({ denial }) => denial),
    verdict.kind === 'deny' ? [said] : [],
  )
  return { said, facts }
}

describe('a user who comes with an internal token', () => {
  it('is known where tokens of the issuer are good that it was exchanged for, and the application is told of it', async () => {
    const { said, facts } = await judge(internalOf('corp'))
    assert.equal(said, 'continue')
    assert.deepEqual(facts.setRequestHeaders, [['x-user', 'ann']])
    assert.equal((await judge(internalOf('other'))).said, 'token-missing')
    assert.equal((await judge(internalOf('other'), {}, { required: false })).said, 'continue')
  })

  it('T12: is nobody to the application where the token was exchanged for one of another issuer, or nobody has to be known', async () => {
    const told = async (token: VerifiedToken, change: Partial<JwtConfig>, words: RequestWords = {}) => {
      const { said, facts } = await judge(token, words, change)
      assert.equal(said, 'continue')
      return facts.setRequestHeaders ?? []
    }
    assert.deepEqual(await told(internalOf('other'), { required: false }), [])
    const ofWorkload = {
      ...internalOf('corp'),
      subject: 'spiffe://mesh/ns/a/sa/b',
      claims: { sub: 'spiffe://mesh/ns/a/sa/b' },
    }
    assert.deepEqual(await told(ofWorkload, { required: false }), [])
    const exempt = { exempt: [{ methods: ['GET'], paths: ['/'] }] }
    assert.deepEqual(await told(internalOf('corp'), exempt, { path: '/' }), [])
    assert.deepEqual(await told(internalOf('corp'), { required: false }), [['x-user', 'ann']])
  })

  it('T24: is refused with a second token beside it', async () => {
    const headers = { authorization: 'Bearer x.y.z' }
    assert.equal((await judge(internalOf('corp'), { headers })).said, 'two-tokens')
  })
})

describe('what becomes of a token', () => {
  it('is settled by floors and the nearest policy, and only a gateway exchanges', () => {
    const said = (...words: readonly string[]) =>
      words.map((word) => ({ value: word.replace('!', '') as 'Strip', byFloor: word.endsWith('!') }))
    for (const [words, atGateway, atService] of [
      [[], 'strip', 'strip'],
      [['Keep'], 'keep', 'keep'],
      [['Exchange', 'Keep'], 'exchange', 'strip'],
      [['Keep', 'Exchange'], 'keep', 'keep'],
      [['Strip!', 'Keep'], 'strip', 'strip'],
      [['Strip!', 'Exchange'], 'exchange', 'strip'],
      [['Exchange!', 'Keep'], 'exchange', 'strip'],
      [['Exchange!'], 'exchange', 'strip'],
      [['Keep!'], 'keep', 'keep'],
    ] as const) {
      assert.equal(forwardOf(said(...words), 'gateway'), atGateway, words.join(' '))
      assert.equal(forwardOf(said(...words), 'sidecar'), atService, words.join(' '))
    }
  })
})
