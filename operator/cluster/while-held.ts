import type { KubernetesClient } from '../kubernetes/client.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import type { Leadership } from '../kubernetes/leader.ts'

/**
 * The client of a leader's work: nothing is sent once the lease may be another's. A process that was frozen for longer
 * than its lease goes on in the middle of what it did, before its timers have told anybody that it leads no more.
 */
export function whileHeld(client: KubernetesClient, { isHeld }: Pick<Leadership, 'isHeld'>): KubernetesClient {
  const refusal = (path: string) =>
    new KubernetesError({ status: 0, reason: 'NotLeading', message: `${path}: this operator may lead no more` })
  return {
    ...client,
    request: (request) => (isHeld() ? client.request(request) : Promise.reject(refusal(request.path))),
    stream: (request, onLines) => (isHeld() ? client.stream(request, onLines) : Promise.reject(refusal(request.path))),
  }
}
