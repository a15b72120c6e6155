import { randomBytes } from 'node:crypto'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { createOnly } from '../kubernetes/create.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'

export const WEBHOOK_SECRET = 'hauberk-webhook'
/** The key in it. */
export const WEBHOOK_SECRET_KEY = 'path'

const SECRET = /^[0-9a-f]{64}$/

/**
 * The secret of the webhooks' paths: 256 bits, the same for every operator of the mesh, made by the first that asks and
 * never changed. Rejects for a Secret of that name that holds something else.
 */
export async function openWebhookSecret(
  client: KubernetesClient,
  { namespace = SYSTEM_NAMESPACE, signal }: { readonly namespace?: string; readonly signal?: AbortSignal } = {},
): Promise<string> {
  const { object } = await createOnly(
    client,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: WEBHOOK_SECRET, namespace },
      type: 'Opaque',
      immutable: true,
      stringData: { [WEBHOOK_SECRET_KEY]: randomBytes(32).toString('hex') },
    },
    { plural: 'secrets', fieldManager: 'hauberk-operator', signal },
  )
  const data = object['data'] as Readonly<Record<string, unknown>> | undefined
  const secret = Buffer.from(String(data?.[WEBHOOK_SECRET_KEY] ?? ''), 'base64').toString()
  if (!SECRET.test(secret)) {
    throw new Error(
      `Secret ${namespace}/${WEBHOOK_SECRET} holds no path of 64 hexadecimal digits: delete it, and one is made`,
    )
  }
  return secret
}
