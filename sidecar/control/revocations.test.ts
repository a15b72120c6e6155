import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read } from '../../contract/codec.ts'
import { MAX_REVOCATIONS, type Revocation, RevocationsDocument } from '../../contract/revocations.ts'
import type { RevocableToken } from '../../model/filter.ts'
import { createRevokedTokens, TOO_MANY } from './revocations.ts'

function revoked(revocations: readonly Omit<Revocation, 'name'>[], nowMs = 1_000) {
  const tokens = createRevokedTokens({ now: () => nowMs })
  const named = revocations.map((each, i) => ({ name: `r${i}`, ...each }))
  tokens.replace({ contract: 3, version: 'v', revocations: named })
  return (token: Omit<RevocableToken, 'issuer'>, issuer = 'corp') => tokens.revokedBy({ issuer, ...token })
}

test('a token is revoked by its jti, and others are not', () => {
  const by = revoked([{ jti: 'a' }, { jti: 'b' }])
  assert.equal(by({ jti: 'a' }), 'r0')
  assert.equal(by({ jti: 'b', sub: 'ann' }), 'r1')
  assert.equal(by({ jti: 'c' }), undefined)
  assert.equal(by({}), undefined)
})

test('all tokens of a sub are, old and new', () => {
  const by = revoked([{ sub: 'ann' }])
  assert.equal(by({ sub: 'ann', issuedAt: 9e9 }), 'r0')
  assert.equal(by({ sub: 'bob' }), undefined)
})

test('all tokens that a kid has signed are', () => {
  const by = revoked([{ kid: 'key-1' }])
  assert.equal(by({ kid: 'key-1', jti: 'a', sub: 'ann' }), 'r0')
  assert.equal(by({ kid: 'key-2' }), undefined)
})

test('tokens that were issued before a time are, and those that do not say when', () => {
  const by = revoked([{ issuedBefore: 100 }])
  assert.equal(by({ issuedAt: 99.5 }), 'r0')
  assert.equal(by({}), 'r0')
  assert.equal(by({ issuedAt: 100 }), undefined)
})

test('what a revocation says together has to be true together', () => {
  const by = revoked([{ sub: 'ann', issuedBefore: 100, issuer: 'corp' }])
  assert.equal(by({ sub: 'ann', issuedAt: 1 }), 'r0')
  assert.equal(by({ sub: 'ann', issuedAt: 100 }), undefined)
  assert.equal(by({ sub: 'bob', issuedAt: 1 }), undefined)
  assert.equal(by({ sub: 'ann', issuedAt: 1 }, 'partner'), undefined)
  assert.equal(revoked([{ jti: 'a', kid: 'key-1' }])({ jti: 'a', kid: 'key-2' }), undefined)
})

test('one that is over revokes nothing', () => {
  const revocations = [{ jti: 'a', untilMs: 1_000 }]
  assert.equal(revoked(revocations, 999)({ jti: 'a' }), 'r0')
  assert.equal(revoked(revocations, 1_000)({ jti: 'a' }), undefined)
})

test('each push is another generation, and what it leaves out is revoked no more', () => {
  const tokens = createRevokedTokens({ now: () => 0 })
  const generations = [tokens.generation]
  for (const revocations of [[{ name: 'a', jti: 'a' }], []]) {
    tokens.replace({ contract: 3, version: 'v', revocations })
    generations.push(tokens.generation)
  }
  assert.equal(new Set(generations).size, 3)
  assert.equal(tokens.revokedBy({ issuer: 'corp', jti: 'a' }), undefined)
})

test('a full list is found in, and where there are more than that no token counts', () => {
  const full = Array.from({ length: MAX_REVOCATIONS }, (_, i) => ({ jti: `j${i}` }))
  const by = revoked(full)
  assert.equal(by({ jti: `j${MAX_REVOCATIONS - 1}` }), `r${MAX_REVOCATIONS - 1}`)
  assert.equal(by({ jti: 'other' }), undefined)
  const over = {
    contract: 3,
    version: 'v',
    revocations: [...full, { jti: 'one more' }].map((each, i) => ({ name: `r${i}`, ...each })),
  }
  assert.equal(read(RevocationsDocument, over).ok, false)
  const tokens = createRevokedTokens({ now: () => 0 })
  tokens.replace({ contract: 3, version: 'v', tooMany: true, revocations: [] })
  assert.equal(tokens.revokedBy({ issuer: 'corp' }), TOO_MANY)
})
