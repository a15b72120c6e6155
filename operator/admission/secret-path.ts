import { createHash, timingSafeEqual } from 'node:crypto'

/** What the API server may be sent to: injection, the review of pods, the review of policies. */
export const WEBHOOKS = ['inject', 'pods', 'policies'] as const
export type Webhook = (typeof WEBHOOKS)[number]

/**
 * The path of a webhook. A stock API server shows no certificate of its own, so that knowing the path is what tells it from
 * everybody else who reaches the port (T28): 256 random bits, made at install.
 */
export function webhookPath(webhook: Webhook, secret: string): string {
  return `/${webhook}/${secret}`
}

/** Tells the webhook that a path leads to; undefined for every path without the secret, in the same time for each. */
export function createPathReader(secret: string): (path: string) => Webhook | undefined {
  const expected = digest(secret)
  return (path) => {
    const [, name = '', given = '', ...rest] = path.split('/')
    const isKnown = timingSafeEqual(digest(given), expected) && rest.length === 0
    return isKnown ? WEBHOOKS.find((webhook) => webhook === name) : undefined
  }
}

/** Digests have one length, so that the comparison says nothing about the secret's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
