import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { IssuedToken, TokenFailure, WantedToken } from '../../model/internal-tokens.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import {
  createInternalTokens,
  internalTokenMetrics,
  MAX_FLIGHTS,
  MAX_KEPT_TOKENS,
  PAUSE_MS,
} from './internal-tokens.ts'
import type { GrantedToken } from './token-client.ts'

const ANN: WantedToken = {
  subject: { issuer: 'corp', text: 'token of ann' },
  scope: ['a'],
  ttlSeconds: 100,
  claims: [],
}

type Said = GrantedToken | TokenFailure

const DOWN: TokenFailure = { kind: 'unavailable', detail: 'down' }

/** A token service that numbers its tokens, each good for 100 s, unless a test has it say something else. */
function world() {
  const clock = createManualClock()
  const asked: WantedToken[] = []
  const service = { says: undefined as Said | Promise<Said> | undefined }
  const tokens = createInternalTokens({
    client: {
      async ask(wanted) {
        asked.push(wanted)
        return service.says ?? { kind: 'granted', text: `token ${asked.length}`, expiresInMs: 100_000 }
      },
    },
    crypto: { sha256: (text) => `hash of ${text}` },
    clock,
    metrics: internalTokenMetrics(createMetrics()),
  })
  return { clock, asked, service, tokens }
}

function textOf(outcome: IssuedToken | TokenFailure): string {
  return outcome.kind === 'issued' ? outcome.text : outcome.kind
}

describe('internal tokens', () => {
  it('are asked for once however many wait, and kept by all that they were wanted with', async () => {
    const { asked, tokens } = world()
    const waiting = await Promise.all([tokens.tokenFor(ANN), tokens.tokenFor({ ...ANN })])
    assert.deepEqual(waiting.map(textOf), ['token 1', 'token 1'])
    assert.deepEqual(tokens.tokenFor(ANN), { kind: 'issued', text: 'token 1' })
    const others: WantedToken[] = [
      { ...ANN, subject: { issuer: 'other', text: 'token of ann' } },
      { ...ANN, subject: { issuer: 'corp', text: 'token of bob' } },
      { ...ANN, scope: ['a', 'b'] },
      { ...ANN, ttlSeconds: 60 },
      { ...ANN, claims: ['/tenant'] },
      { scope: ['a'], ttlSeconds: 100, claims: [] },
    ]
    const texts = await Promise.all(others.map(async (wanted) => textOf(await tokens.tokenFor(wanted))))
    assert.deepEqual(
      texts,
      others.map((_, i) => `token ${i + 2}`),
    )
    assert.equal(asked.length, 7)
  })

  it('are renewed ahead while they are used, and nobody waits for that', async () => {
    const { clock, asked, tokens } = world()
    await tokens.tokenFor(ANN)
    await clock.advance(74_000)
    assert.deepEqual(tokens.tokenFor(ANN), { kind: 'issued', text: 'token 1' })
    await clock.advance(2_000)
    assert.deepEqual(tokens.tokenFor(ANN), { kind: 'issued', text: 'token 1' })
    assert.deepEqual(tokens.tokenFor(ANN), { kind: 'issued', text: 'token 1' })
    await clock.advance(0)
    assert.deepEqual(tokens.tokenFor(ANN), { kind: 'issued', text: 'token 2' })
    assert.equal(asked.length, 2)
  })

  it('live to their end when the token service is down, and no longer; nobody waits for what has just failed', async () => {
    const { clock, asked, service, tokens } = world()
    await tokens.tokenFor(ANN)
    service.says = DOWN
    await clock.advance(99_999)
    assert.deepEqual(tokens.tokenFor(ANN), { kind: 'issued', text: 'token 1' })
    await clock.advance(1)
    assert.equal(textOf(await tokens.tokenFor(ANN)), 'unavailable')
    assert.equal(asked.length, 2)
    await clock.advance(PAUSE_MS)
    assert.equal(textOf(await tokens.tokenFor(ANN)), 'unavailable')
    assert.equal(asked.length, 3)
    service.says = undefined
    await clock.advance(PAUSE_MS)
    assert.equal(textOf(await tokens.tokenFor(ANN)), 'token 4')
  })

  it('are gone once the token service refuses them, and it is not asked again at once', async () => {
    const { clock, asked, service, tokens } = world()
    await tokens.tokenFor(ANN)
    await clock.advance(80_000)
    service.says = { kind: 'refused', detail: 'no' }
    await tokens.tokenFor(ANN)
    await clock.advance(0)
    assert.equal(textOf(await tokens.tokenFor(ANN)), 'refused')
    assert.equal(asked.length, 2)
    await clock.advance(1_000)
    service.says = undefined
    assert.equal(textOf(await tokens.tokenFor(ANN)), 'token 3')
  })

  it('are bounded: in number, and in requests that wait for one', async () => {
    const { tokens, service } = world()
    const of = (i: number): WantedToken => ({ ...ANN, subject: { issuer: 'corp', text: `token of ${i}` } })
    for (let i = 0; i < MAX_KEPT_TOKENS * 1.5; i++) await tokens.tokenFor(of(i))
    assert.ok(tokens.size <= MAX_KEPT_TOKENS, String(tokens.size))
    const answer = Promise.withResolvers<Said>()
    service.says = answer.promise
    const waiting = Array.from({ length: MAX_FLIGHTS }, (_, i) => tokens.tokenFor(of(-1 - i)))
    assert.equal(textOf(await tokens.tokenFor(of(-1 - MAX_FLIGHTS))), 'unavailable')
    answer.resolve(DOWN)
    assert.deepEqual(new Set((await Promise.all(waiting)).map(textOf)), new Set(['unavailable']))
  })
})
