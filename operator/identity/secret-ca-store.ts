import type { KubernetesClient } from '../kubernetes/client.ts'
import { createOnly } from '../kubernetes/create.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import { type KubernetesObject, recordOf } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import { type CaStore, CaStoreError } from './ca-store.ts'
import type { CustomRoot } from './custom-root.ts'

/** The type of the Secrets that hold the CA. */
export const CA_SECRET_TYPE = 'hauberk.dev/ca'

/** Where a user puts a root of their own: a Secret of type `kubernetes.io/tls`, with `ca.crt` as cert-manager writes it. */
export const CUSTOM_ROOT_SECRET = 'hauberk-ca-custom-root'

export interface SecretsOptions {
  readonly client: Pick<KubernetesClient, 'request'>
  /** Default `hauberk-system`. */
  readonly namespace?: string
}

const ENTRY_KEY = 'ca.pem'

/** Entries whose names make names of Secrets (RFC 1123). */
const ENTRY = /^([a-z0-9][a-z0-9-]{0,100})\.pem$/

/**
 * The CA's entries as Secrets, made once and immutable: `root-1.pem` is the Secret `hauberk-ca-root-1`. Of two operators
 * that start at the same moment, the API server lets one make the root, and the other reads it.
 *
 * A Secret of that name which is no entry of ours is refused: a root is nothing to guess about.
 */
export function createSecretCaStore({ client, namespace = SYSTEM_NAMESPACE }: SecretsOptions): CaStore {
  return {
    async read(entry) {
      const secret = await readSecret(client, namespace, nameOf(entry))
      return secret === undefined ? undefined : contentOf(secret)
    },
    async create(entry, content) {
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: nameOf(entry), namespace, labels: { 'app.kubernetes.io/part-of': 'hauberk' } },
        type: CA_SECRET_TYPE,
        immutable: true,
        data: { [ENTRY_KEY]: Buffer.from(content).toString('base64') },
      }
      return contentOf((await createOnly(client, secret, { plural: 'secrets' })).object)
    },
  }
}

/** Reads the root that a user brought; undefined where there is none. What is missing in it is empty, and told so. */
export function secretCustomRoot({
  client,
  namespace = SYSTEM_NAMESPACE,
}: SecretsOptions): () => Promise<CustomRoot | undefined> {
  return async () => {
    const secret = await readSecret(client, namespace, CUSTOM_ROOT_SECRET)
    if (secret === undefined) return undefined
    const root = textOf(secret, 'ca.crt')
    return {
      certificate: textOf(secret, 'tls.crt') ?? '',
      privateKey: textOf(secret, 'tls.key') ?? '',
      ...(root !== undefined && { root }),
    }
  }
}

/** Undefined: there is none of this name. */
export async function readSecret(
  client: SecretsOptions['client'],
  namespace: string,
  name: string,
): Promise<KubernetesObject | undefined> {
  try {
    return await client.request<KubernetesObject>({
      path: resourcePath({ apiVersion: 'v1', plural: 'secrets', namespace, name }),
    })
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

/** The value of a key of a Secret; undefined where it has none. */
export function textOf(secret: KubernetesObject, key: string): string | undefined {
  const value = recordOf(secret['data'])[key]
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : undefined
}

function contentOf(secret: KubernetesObject): string {
  const content = textOf(secret, ENTRY_KEY)
  if (secret['type'] !== CA_SECRET_TYPE || secret['immutable'] !== true || content === undefined) {
    const { name } = secret.metadata
    throw new CaStoreError('foreign', `the Secret ${name} is not one that this program made: delete it, or restore it`)
  }
  return content
}

function nameOf(entry: string): string {
  const name = ENTRY.exec(entry)?.[1]
  if (name === undefined) throw new CaStoreError('io', `${entry} makes no name of a Secret`)
  return `hauberk-ca-${name}`
}
