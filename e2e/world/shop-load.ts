import type { LoadTask } from './load.ts'

/** Who the load asks as, and what it needs to know. */
export interface ShopClients {
  /** A token of a person whom no scenario uses, good for a minute at least. */
  personToken(): Promise<string>
  readonly person: string
  /** What a machine shows the token endpoint: `Authorization: Basic`. */
  readonly machineCredential: string
  readonly productId: string
}

/**
 * What many people and machines do in a shop at once, slowed down to what a laptop does beside everything else: about
 * 25 requests a second, each through two to seven sidecars. A person stays below the limit of 10 a second.
 */
export function shopLoad({ personToken, person, machineCredential, productId }: ShopClients): readonly LoadTask[] {
  const orders = `/api/orders/users/${person}/orders`
  return [
    {
      name: 'catalog',
      everyMs: 100,
      run: async (send) => void (await send({ path: '/api/catalog/products' })),
    },
    {
      name: 'storefront',
      everyMs: 250,
      run: async (send) => void (await send({ path: '/' })),
    },
    {
      name: 'own orders',
      everyMs: 200,
      run: async (send) => void (await send({ path: orders, token: await personToken() })),
    },
    {
      name: 'new order',
      everyMs: 1_000,
      async run(send) {
        const body = {
          items: [{ productId, quantity: 1 }],
          shippingAddress: '2 Plate Road',
          cardNumber: '4242424242424242',
        }
        await send({ method: 'POST', path: orders, token: await personToken(), body })
      },
    },
    {
      name: 'machine',
      everyMs: 500,
      async run(send) {
        const fetched = await send({
          method: 'POST',
          path: '/auth/token',
          headers: { authorization: `Basic ${machineCredential}` },
          body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'orders:read-all' }),
        })
        const { access_token } = JSON.parse(fetched.body) as { readonly access_token: string }
        await send({ path: orders, token: access_token })
      },
    },
  ]
}
