/**
 * `node cluster/make-secrets.mjs NAMESPACE/NAME...`: fills these Secrets of the cluster that it runs in, as `hauberk dev`
 * fills those of a laptop.
 */
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fillSecrets, type LiveSecret, type SecretApi } from './fill-secrets.ts'

const API_SERVER = 'https://kubernetes.default.svc'
const TOKEN_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/token'
const TIMEOUT_MS = 10_000

async function openSecretApi(): Promise<SecretApi> {
  const token = await readFile(TOKEN_FILE, 'utf8')
  const ask = async (method: string, namespace: string, name: string, body?: unknown) => {
    const response = await fetch(`${API_SERVER}/api/v1/namespaces/${namespace}/secrets/${name}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/merge-patch+json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    if (response.status !== 200 && response.status !== 409) {
      throw new Error(`${method} ${namespace}/${name}: ${((await response.json()) as { message?: string }).message}`)
    }
    return response
  }
  return {
    get: async (namespace, name) => (await (await ask('GET', namespace, name)).json()) as LiveSecret,
    add: async ({ metadata: { namespace, name, resourceVersion } }, data) => {
      const { status } = await ask('PATCH', namespace, name, { metadata: { resourceVersion }, data })
      return status === 409 ? 'conflict' : 'added'
    },
  }
}

const names = process.argv.slice(2)
const directory = await mkdtemp(join(tmpdir(), 'secrets-'))
const added = await fillSecrets(names, directory, await openSecretApi())
process.stdout.write(added.length === 0 ? 'nothing was missing\n' : `made ${added.join(' ')}\n`)
