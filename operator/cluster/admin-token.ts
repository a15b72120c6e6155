import { randomBytes } from 'node:crypto'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { createOnly } from '../kubernetes/create.ts'
import { recordOf } from '../kubernetes/object.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'

/** The Secret that whoever may ask operators for their status is let read. */
export const ADMIN_SECRET = 'hauberk-admin'

/** The key in it. */
export const ADMIN_SECRET_KEY = 'token'

const TOKEN = /^[A-Za-z0-9_-]{43,128}$/

/**
 * The bearer token of every operator's admin port: 256 bits, made by the first that asks and never changed by one. To have
 * another, delete the Secret and restart the operators.
 *
 * Rejects for a Secret of that name that holds something else.
 */
export async function openAdminToken(
  client: KubernetesClient,
  { namespace = SYSTEM_NAMESPACE, signal }: { readonly namespace?: string; readonly signal?: AbortSignal } = {},
): Promise<string> {
  const { object } = await createOnly(
    client,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: ADMIN_SECRET, namespace },
      type: 'Opaque',
      immutable: true,
      stringData: { [ADMIN_SECRET_KEY]: randomBytes(32).toString('base64url') },
    },
    { plural: 'secrets', fieldManager: 'hauberk-operator', signal },
  )
  const encoded = recordOf(object['data'])[ADMIN_SECRET_KEY]
  const token = Buffer.from(typeof encoded === 'string' ? encoded : '', 'base64').toString()
  if (TOKEN.test(token)) return token
  throw new Error(`Secret ${namespace}/${ADMIN_SECRET} holds no token: delete it, and one is made`)
}
