import type { RunningPeer } from '../peers/peer.ts'
import type { Contestant, Load, Refusal } from '../scenario.ts'
import type { World } from '../world/world.ts'
import { ClosedError, type Probed, type ProbeRequest, probe } from './probe.ts'

/** A contestant does not do what it is measured for. */
export class WrongAnswerError extends Error {
  override readonly name = 'WrongAnswerError'
}

const LIMITED_PATH = '/limited'

/** Holds a contestant to its work: the answer that the generator will get, and every refusal. Gives that answer. */
export async function checkAnswers(
  world: World,
  { name, tokens, refuses }: Contestant,
  { port }: RunningPeer,
  { path }: Load,
): Promise<Probed> {
  const { root, client, stranger, foreign } = world.certificates
  const token = tokens === 0 ? undefined : world.tokens.valid[0]
  const good: ProbeRequest = { port, path, root, certificate: client, token }

  const answer = await probe(good)
  if (answer.status !== 200) throw new WrongAnswerError(`${name} answers ${answer.status}`)
  if (answer.body !== world.backend.body) throw new WrongAnswerError(`${name} changes what the backend answers`)

  const expectStatus = async (what: Refusal, request: ProbeRequest, status: number) => {
    const got = await probe(request)
    if (got.status !== status) throw new WrongAnswerError(`${name}: ${what} gets ${got.status}, not ${status}`)
  }
  const expectClosed = async (what: Refusal, request: ProbeRequest) => {
    const got = await probe(request).catch((error: unknown) => {
      if (error instanceof ClosedError) return undefined
      throw error
    })
    if (got !== undefined) throw new WrongAnswerError(`${name}: ${what} gets ${got.status}, and is to be closed`)
  }
  const check = async (refusal: Refusal): Promise<void> => {
    switch (refusal) {
      case 'no-certificate':
        return expectClosed(refusal, { ...good, certificate: undefined })
      case 'foreign-certificate':
        return expectClosed(refusal, { ...good, certificate: foreign })
      case 'other-identity':
        return expectStatus(refusal, { ...good, certificate: stranger }, 403)
      case 'no-token':
        return expectStatus(refusal, { ...good, token: undefined }, 401)
      case 'altered-token':
        return expectStatus(refusal, { ...good, token: world.tokens.altered }, 401)
      case 'expired-token':
        return expectStatus(refusal, { ...good, token: world.tokens.expired }, 401)
      case 'other-audience':
        return expectStatus(refusal, { ...good, token: world.tokens.otherAudience }, 401)
      case 'over-limit':
        // Of two requests in an hour the first may have been made in an earlier check.
        await probe({ ...good, path: LIMITED_PATH })
        return expectStatus(refusal, { ...good, path: LIMITED_PATH }, 429)
    }
  }
  for (const refusal of refuses) await check(refusal)
  return answer
}
