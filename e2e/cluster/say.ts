import type { SayRequest } from '../apps/say.ts'
import type { Heard } from '../world/wire.ts'
import type { Kubectl, PodContainer } from './kubectl.ts'
import { scriptOf } from './script.ts'

/** Milliseconds that it takes at most until a program in a pod does something. */
const START_MS = 60_000

/** Says something from inside a container that has Node. */
export async function sayFrom(kubectl: Kubectl, pod: PodContainer, request: SayRequest): Promise<Heard> {
  const script = await scriptOf('say')
  const command = ['node', '--input-type=module', '--eval', script]
  const options = {
    input: JSON.stringify(request),
    ...(request.patienceMs !== undefined && { timeoutMs: request.patienceMs + START_MS }),
  }
  return JSON.parse(await kubectl.exec(pod, command, options)) as Heard
}
