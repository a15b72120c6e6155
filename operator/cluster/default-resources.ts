import type { Resource } from '../../model/resource.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { createOnly } from '../kubernetes/create.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import { kindOf } from '../resources/kinds.ts'
import type { Persist } from './persist.ts'

/**
 * Makes resources that a mesh is to begin with, where they are not there. What is there is never changed: it is its
 * owner's. One that the API server does not take is told of and left out.
 */
export async function makeDefaultResources(
  client: KubernetesClient,
  resources: readonly Resource[],
  persist: Persist,
  log: Log,
): Promise<void> {
  for (const resource of resources) {
    const { apiVersion, kind, metadata } = resource
    const plural = kindOf(apiVersion, kind)?.plural
    if (plural === undefined) continue
    const facts = { 'hauberk.resource': `${kind}/${metadata.name}` }
    try {
      const object = { ...resource, metadata: { ...metadata } }
      const { created } = await persist('a default resource', (signal) =>
        createOnly(client, object, { plural, fieldManager: 'hauberk-operator', signal }),
      )
      if (created) log.info('a default resource was made', facts)
    } catch (err) {
      if (!(err instanceof KubernetesError)) throw err
      log.error('a default resource is not taken', { err, ...facts })
    }
  }
}
