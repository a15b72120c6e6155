import { request } from 'node:http'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import { type KubernetesObject, recordOf } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import { ADMIN_SECRET, ADMIN_SECRET_KEY } from './admin-token.ts'

export interface AskOptions {
  readonly client: KubernetesClient
  /** Of the operator that is asked, on loopback. */
  readonly port: number
  /** Where an answer of 200 goes. */
  readonly out: NodeJS.WritableStream
  /** Where any other goes. */
  readonly err: NodeJS.WritableStream
}

const TIMEOUT_MS = 10_000

/**
 * Asks the operator that runs in this container for a path of its admin port, and prints the answer: for whoever may
 * execute programs here. The token is read as the operator itself reads it. Resolves with the exit code.
 */
export async function askAdmin(path: string, { client, port, out, err }: AskOptions): Promise<number> {
  const token = await readToken(client)
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const call = request({ host: '127.0.0.1', port, path, headers, timeout: TIMEOUT_MS })
    call.once('timeout', () => call.destroy(new Error('no answer')))
    call.once('error', (cause) => reject(new Error('the operator does not answer on its admin port', { cause })))
    call.once('response', (response) => {
      const isGood = response.statusCode === 200
      response.pipe(isGood ? out : err, { end: false })
      response.once('error', reject)
      response.once('end', () => resolve(isGood ? 0 : 1))
    })
    call.end()
  })
}

async function readToken(client: KubernetesClient): Promise<string> {
  const place = { apiVersion: 'v1', plural: 'secrets', namespace: SYSTEM_NAMESPACE, name: ADMIN_SECRET }
  try {
    const { data } = await client.request<KubernetesObject>({ path: resourcePath(place), timeoutMs: TIMEOUT_MS })
    const encoded = recordOf(data)[ADMIN_SECRET_KEY]
    return Buffer.from(typeof encoded === 'string' ? encoded : '', 'base64').toString()
  } catch (cause) {
    if (!isNotFound(cause)) throw cause
    throw new Error(`there is no Secret ${SYSTEM_NAMESPACE}/${ADMIN_SECRET}: no operator has run here`, { cause })
  }
}
