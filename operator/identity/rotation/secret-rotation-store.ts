import { isAlreadyExists, isConflict, isNotFound } from '../../kubernetes/errors.ts'
import { resourcePath } from '../../kubernetes/path.ts'
import { SYSTEM_NAMESPACE } from '../../translate/gateways.ts'
import { readSecret, type SecretsOptions, textOf } from '../secret-ca-store.ts'
import { type RotationStore, RotationStoreError, stateIn } from './rotation-store.ts'
import { encodeState } from './state.ts'

/** A Secret, though nothing in it is secret: whoever may write it says which roots count. */
export const ROTATION_SECRET = 'hauberk-ca-rotation'

const TYPE = 'hauberk.dev/ca-rotation'
const STATE_KEY = 'state.json'

/** Shared by all operators: the API server refuses who would write over something that they have not read. */
export function createSecretRotationStore({ client, namespace = SYSTEM_NAMESPACE }: SecretsOptions): RotationStore {
  const all = { apiVersion: 'v1', plural: 'secrets', namespace }
  return {
    async read() {
      const secret = await readSecret(client, namespace, ROTATION_SECRET)
      if (secret === undefined) return undefined
      const text = textOf(secret, STATE_KEY)
      const { resourceVersion } = secret.metadata
      if (secret['type'] !== TYPE || text === undefined || resourceVersion === undefined) {
        throw new RotationStoreError(`the Secret ${ROTATION_SECRET} is not one that this program made`)
      }
      return { state: stateIn(text, `the Secret ${ROTATION_SECRET}`), version: resourceVersion }
    },
    async write(state, version) {
      const body = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: {
          name: ROTATION_SECRET,
          namespace,
          labels: { 'app.kubernetes.io/part-of': 'hauberk' },
          ...(version !== undefined && { resourceVersion: version }),
        },
        type: TYPE,
        data: { [STATE_KEY]: Buffer.from(encodeState(state)).toString('base64') },
      }
      try {
        if (version === undefined) await client.request({ method: 'POST', path: resourcePath(all), body })
        else await client.request({ method: 'PUT', path: resourcePath({ ...all, name: ROTATION_SECRET }), body })
        return true
      } catch (error) {
        // Somebody else was faster, or it was deleted: the next read tells.
        if (isAlreadyExists(error) || isConflict(error) || isNotFound(error)) return false
        throw error
      }
    },
  }
}
