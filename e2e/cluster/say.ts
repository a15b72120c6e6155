import type { SayRequest } from '../apps/say.ts'
import type { Heard } from '../world/wire.ts'
import type { Kubectl, PodContainer } from './kubectl.ts'
import { scriptOf } from './script.ts'

/** Says something from inside a container that has Node. */
export async function sayFrom(kubectl: Kubectl, pod: PodContainer, request: SayRequest): Promise<Heard> {
  const script = await scriptOf('say')
  const command = ['node', '--input-type=module', '--eval', script]
  return JSON.parse(await kubectl.exec(pod, command, { input: JSON.stringify(request) })) as Heard
}
