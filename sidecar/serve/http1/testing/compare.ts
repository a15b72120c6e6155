import assert from 'node:assert/strict'
import type { RequestHead, ResponseHead } from '../message.ts'
import { clientOracle, type OracleTranscript, serverOracle } from './llhttp.ts'
import { readRequests, readResponse, type Transcript } from './transcript.ts'

/**
 * Fails when we take a request of these that llhttp refuses, or frame one in another way. Resolves with how many complete
 * ones both took.
 */
export async function compareRequests(bytes: Buffer): Promise<number> {
  const ours = readRequests([bytes])
  // What follows a request for an upgrade is another protocol to llhttp, whatever becomes of the upgrade: it looks no further.
  const upgrade = ours.messages.findIndex(({ headers }) => headers.some(([name]) => name === 'upgrade'))
  const comparable = upgrade === -1 ? ours : { ...ours, messages: ours.messages.slice(0, upgrade + 1) }
  return compare(bytes, comparable, await serverOracle(bytes), ({ method, target, minor }: Start<RequestHead>) => {
    return `${method} ${target} 1.${minor}`
  })
}

/** The same of the response to one request. */
export async function compareResponse(bytes: Buffer, method: string): Promise<number> {
  const ours = readResponse([bytes], method)
  const final = { ...ours, messages: ours.messages.filter(({ head }) => !head.interim) }
  return compare(
    bytes,
    final,
    await clientOracle(bytes, method),
    ({ status, minor }: Start<ResponseHead>) => `${status} 1.${minor}`,
  )
}

type Start<Head> = Omit<Head, 'headers'>

/** How many messages both accepted. */
function compare<Head>(
  bytes: Buffer,
  ours: Transcript<Head>,
  oracle: OracleTranscript,
  startLineOf: (head: Start<Head>) => string,
): number {
  const shown = JSON.stringify(bytes.toString('latin1'))
  let accepted = 0
  for (const [index, message] of ours.messages.entries()) {
    const theirs = oracle.messages[index]
    assert.ok(theirs, `message ${index} of ${shown} was accepted by us and refused by llhttp with ${oracle.error}`)
    assert.equal(theirs.startLine, startLineOf(message.head), shown)
    assert.deepEqual(theirs.headers, message.headers, shown)
    if (!message.complete) continue
    assert.ok(theirs.complete, `message ${index} of ${shown} ended for us and not for llhttp`)
    assert.equal(theirs.body, message.body, shown)
    accepted++
  }
  return accepted
}
