import type { Answer } from '../world/answer.ts'
import type { World } from '../world/world.ts'

/** The policy that the team of reviews writes in these scenarios: no other scenario asks for reviews. */
export const REVIEWS_POLICY = 'reviews-policy'

/** What they ask for to see whether it has come into force. */
export const REVIEWS_PATH = '/api/reviews/products/hauberk/reviews'

/** Lets everybody in, or everybody but whom one more rule names. */
export function reviewsPolicy({ denied }: { readonly denied: boolean }): string {
  const deny = `
    deny:
    - name: closed-for-now
      to: {paths: ['/products/{id}/reviews']}`
  return `apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata:
  name: reviews
  namespace: shop
spec:
  targetRefs:
  - kind: Service
    name: reviews
  authorization:${denied ? deny : ''}
    allow:
    - name: readers
      to: {methods: [GET]}
`
}

export function readReviews({ gateway }: World): Promise<Answer> {
  return gateway.ask({ path: REVIEWS_PATH })
}
