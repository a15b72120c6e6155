import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type KubernetesClient, openClient } from '../../kubernetes/client.ts'
import { isNotFound } from '../../kubernetes/errors.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import { type ResourcePath, resourcePath } from '../../kubernetes/path.ts'

/** A namespace of a test's own, on whatever cluster the kubeconfig names. */
export interface TestNamespace {
  readonly client: KubernetesClient
  readonly name: string
  create(object: KubernetesObject & { readonly kind: string }): Promise<KubernetesObject>
  get(plural: string, name: string): Promise<KubernetesObject>
  delete(plural: string, name: string): Promise<void>
  /** Waits for an object to be as it is to be. */
  when<T>(plural: string, name: string, look: (object: KubernetesObject) => T | undefined): Promise<T>
  gone(plural: string, name: string): Promise<void>
  /** Removes it, with all that is in it. */
  end(): Promise<void>
}

const PLURALS: Readonly<Record<string, string>> = {
  Pod: 'pods',
  Secret: 'secrets',
  ServiceAccount: 'serviceaccounts',
}

const WITHIN_MS = 60_000

export async function createTestNamespace(prefix: string): Promise<TestNamespace> {
  const client = await openClient({ config: { from: 'default' }, userAgent: 'hauberk-tests' })
  const name = `${prefix}-${randomBytes(4).toString('hex')}`
  const path = (more: Pick<ResourcePath, 'plural' | 'name'>) =>
    resourcePath({ apiVersion: 'v1', namespace: name, ...more })
  const namespaces = { apiVersion: 'v1', plural: 'namespaces' }
  await client.request({
    method: 'POST',
    path: resourcePath(namespaces),
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
  })
  const get = (plural: string, object: string) =>
    client.request<KubernetesObject>({ path: path({ plural, name: object }) })
  const until = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
    const deadline = performance.now() + WITHIN_MS
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      assert.ok(performance.now() < deadline, `waited in vain until ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  return {
    client,
    name,
    create: (object) =>
      client.request({
        method: 'POST',
        path: path({ plural: PLURALS[object.kind]! }),
        body: { apiVersion: 'v1', ...object },
      }),
    get,
    async delete(plural, object) {
      await client.request({
        method: 'DELETE',
        path: path({ plural, name: object }),
        body: { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 },
      })
    },
    when: (plural, object, look) =>
      until(`${plural} ${object} is as it is to be`, async () => look(await get(plural, object))),
    async gone(plural, object) {
      await until(`${plural} ${object} is gone`, async () => {
        const found = await get(plural, object).catch((error: unknown) => {
          if (isNotFound(error)) return undefined
          throw error
        })
        return found === undefined ? true : undefined
      })
    },
    async end() {
      await client.request({ method: 'DELETE', path: resourcePath({ ...namespaces, name }) })
      client.close()
    },
  }
}
