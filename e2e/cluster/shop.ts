import { resolve } from 'node:path'
import type { Kubectl } from './kubectl.ts'

const SHOP = resolve(import.meta.dirname, '../../samples/shop')

/** Milliseconds that the shop has to come up: a handful of Node programs and a database on two cores. */
const UP_WITHIN_MS = 240_000

/** What `kubectl apply -k samples/shop` applies, as YAML. */
export function renderShop(kubectl: Kubectl): Promise<string> {
  return kubectl.run(['kustomize', SHOP])
}

/** `kubectl apply -k samples/shop`, and waits until all of it serves. */
export async function installShop(kubectl: Kubectl): Promise<void> {
  await kubectl.run(['apply', '-k', SHOP])
  const seconds = UP_WITHIN_MS / 1_000
  for (const namespace of ['identity', 'shop']) {
    await kubectl.run(
      ['wait', '-n', namespace, '--for=condition=Available', 'deployments', '--all', `--timeout=${seconds}s`],
      { timeoutMs: UP_WITHIN_MS + 5_000 },
    )
  }
  await kubectl.run(
    ['wait', '-n', 'shop', '--for=condition=Programmed', 'gateways.gateway.networking.k8s.io/shop', '--timeout=120s'],
    { timeoutMs: 125_000 },
  )
}
