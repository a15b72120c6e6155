import { type Refusal, type Stage, WrongAnswerError } from '../scenario.ts'
import { ClosedError, type Probed, type ProbeRequest, probe as probeHttp1 } from './probe.ts'
import type { Load } from './wrk.ts'

/** Takes one request in an hour, where there is a limit. */
export const LIMITED_PATH = '/limited'

/** Statuses that say no to each. */
const REFUSING: Readonly<Record<Exclude<Refusal, 'no-certificate' | 'foreign-certificate'>, readonly number[]>> = {
  'other-identity': [403],
  'no-token': [401],
  'altered-token': [401],
  'expired-token': [401],
  'other-audience': [401, 403],
  'over-limit': [429],
}

/** How a probe is made, and what the application answers to it. */
export interface Asking {
  readonly probe: (request: ProbeRequest) => Promise<Probed>
  /** Default: what the backend has at the path. */
  readonly body?: string
}

/** Holds a contestant to its work: the answer that the generator will get, and every refusal. Gives that answer. */
export async function checkAnswers(
  { world, contestant: { name, tokens, refuses }, peer: { port } }: Stage,
  load: Pick<Load, 'path' | 'headers' | 'postBytes' | 'isFresh' | 'isPlain'>,
  { probe, body = world.backend.bodyOf(load.path) }: Asking = { probe: probeHttp1 },
): Promise<Probed> {
  const { root, client, stranger, foreign } = world.certificates
  const { path, headers, postBytes, isFresh = false, isPlain = false } = load
  const token = tokens === 0 ? undefined : world.tokens.valid[0]
  const good: ProbeRequest = { port, path, root, certificate: client, token, headers, postBytes, isFresh, isPlain }

  const answer = await probe(good)
  if (answer.status !== 200)
    throw new WrongAnswerError(`${name} answers ${answer.status}: ${answer.body.slice(0, 300)}`)
  if (answer.body !== body) throw new WrongAnswerError(`${name} changes what the backend answers`)

  const expectClosed = async (what: Refusal, request: ProbeRequest) => {
    const got = await probe(request).catch((error: unknown) => {
      if (error instanceof ClosedError) return undefined
      throw error
    })
    if (got !== undefined) throw new WrongAnswerError(`${name}: ${what} gets ${got.status}, and is to be closed`)
  }
  const check = async (refusal: Refusal): Promise<void> => {
    if (refusal === 'no-certificate') return expectClosed(refusal, { ...good, certificate: undefined })
    if (refusal === 'foreign-certificate') return expectClosed(refusal, { ...good, certificate: foreign })
    const request = (): ProbeRequest => {
      switch (refusal) {
        case 'other-identity':
          return { ...good, certificate: stranger }
        case 'no-token':
          return { ...good, token: undefined }
        case 'altered-token':
          return { ...good, token: world.tokens.altered }
        case 'expired-token':
          return { ...good, token: world.tokens.expired }
        case 'other-audience':
          return { ...good, token: world.tokens.otherAudience }
        case 'over-limit':
          return { ...good, path: LIMITED_PATH }
      }
    }
    // Of two requests in an hour the first may have been made in an earlier check.
    if (refusal === 'over-limit') await probe(request())
    const { status } = await probe(request())
    const wanted = REFUSING[refusal]
    if (!wanted.includes(status)) {
      throw new WrongAnswerError(`${name}: ${refusal} gets ${status}, not ${wanted.join(' or ')}`)
    }
  }
  for (const refusal of refuses) await check(refusal)
  return answer
}
