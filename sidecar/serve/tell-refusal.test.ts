import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RefusalForm } from '../../model/request.ts'
import type { Denial, HeaderPair } from '../../model/verdict.ts'
import { NO_ROUTE } from './denials.ts'
import { tellRefusal } from './tell-refusal.ts'

const FORBIDDEN: Denial = { name: 'not-allowed', status: 403, title: 'No.' }
const NO_TOKEN: Denial = { name: 'token-missing', status: 401, title: 'A token is needed.' }
const TOO_MANY: Denial = { name: 'rate-limited', status: 429, title: 'Later.' }
const CHALLENGE: readonly HeaderPair[] = [['www-authenticate', 'Bearer']]

function form(words: Partial<RefusalForm>): RefusalForm {
  return { format: 'problem-json', deniedStatus: 403, hidesExistence: false, ...words }
}

describe('tellRefusal', () => {
  it('tells the stable name, the status and the decision, and nothing of the policy', () => {
    const { status, headers, body = '' } = tellRefusal(NO_TOKEN, CHALLENGE, undefined, 'd1')
    assert.equal(status, 401)
    assert.deepEqual(headers, [['content-type', 'application/problem+json'], ...CHALLENGE])
    assert.deepEqual(JSON.parse(body), {
      type: 'urn:hauberk:denial:token-missing',
      title: 'A token is needed.',
      status: 401,
      denial: 'token-missing',
      decisionId: 'd1',
    })
  })

  it('gives 403 the status that the policy asks for, and no other refusal', () => {
    const asked = form({ deniedStatus: 410 })
    assert.equal(tellRefusal(FORBIDDEN, [], asked, 'd1').status, 410)
    assert.equal(tellRefusal(NO_TOKEN, [], asked, 'd1').status, 401)
    assert.equal(JSON.parse(tellRefusal(FORBIDDEN, [], asked, 'd1').body ?? '').status, 410)
  })

  it('hides 401 and 403 behind what a path looks like that nothing serves', () => {
    const asked = form({ hidesExistence: true })
    const nothing = tellRefusal(NO_ROUTE, [], undefined, 'd1')
    assert.deepEqual(tellRefusal(FORBIDDEN, [], asked, 'd1'), nothing)
    assert.deepEqual(tellRefusal(NO_TOKEN, CHALLENGE, asked, 'd1'), nothing)
    assert.equal(tellRefusal(TOO_MANY, [], asked, 'd1').status, 429)
  })

  it('writes text or nothing where the policy asks for it', () => {
    const text = tellRefusal(TOO_MANY, [['retry-after', '1']], form({ format: 'text' }), 'd1')
    assert.equal(text.body, 'rate-limited: Later. (d1)\n')
    assert.deepEqual(text.headers, [
      ['content-type', 'text/plain; charset=utf-8'],
      ['retry-after', '1'],
    ])
    const empty = tellRefusal(TOO_MANY, [['retry-after', '1']], form({ format: 'empty' }), 'd1')
    assert.deepEqual(empty, { meaning: 429, status: 429, headers: [['retry-after', '1']], body: undefined })
  })

  it('tells a call of gRPC by trailers alone, hidden or not, and keeps what it stands for', () => {
    const told = tellRefusal(FORBIDDEN, CHALLENGE, undefined, 'd1', true)
    assert.deepEqual(told, {
      meaning: 403,
      status: 200,
      headers: [
        ['content-type', 'application/grpc'],
        ['grpc-status', '7'],
        ['grpc-message', 'not-allowed: No. (d1)'],
        ...CHALLENGE,
      ],
      body: undefined,
    })
    assert.deepEqual(
      tellRefusal(FORBIDDEN, [], form({ hidesExistence: true, format: 'text' }), 'd1', true),
      tellRefusal(NO_ROUTE, [], undefined, 'd1', true),
    )
  })
})
