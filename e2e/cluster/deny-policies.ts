import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kubectl } from './kubectl.ts'

/** Writers of one kind of policies at once. */
const AT_ONCE = 8

/** How often one is written before it counts as refused: an operator that has no CPU is late, and whoever writes tries again. */
const ATTEMPTS = 6

/** SecurityPolicies `deny-0`, `deny-1` ... of one namespace: each denies one path of the Service `server`. */
export interface DenyPolicies {
  /** `count` of them, those below `from` left out. Each denies `/never/NUMBER`. */
  create(count: number, from?: number): Promise<void>
  /** Waits for one edit before the next of the same writer; `atOnce` writers keep to `perSecond` if they can. */
  edit(options: EditOptions): Promise<Edited>
  /** Makes the one with this number deny another path. */
  set(number: number, path: string): Promise<void>
  remove(number: number): Promise<void>
  /** How many writes had to be made again, since no operator had answered in time. */
  late(): number
  stop(): void
}

export interface EditOptions {
  readonly perSecond: number
  readonly atOnce: number
  readonly forMs: number
  /** How many there are: edit n is of policy n modulo this. */
  readonly count: number
}

export interface Edited {
  readonly edits: number
  /** What the last edit denies; it was written when all the others were stored. */
  readonly lastPath: string
  readonly tookMs: number
}

/** Writes without kubectl, which would be the slowest part by far. */
export async function openDenyPolicies(kubectl: Kubectl, namespace: string): Promise<DenyPolicies> {
  const proxy = await kubectl.proxy()
  const base = `${proxy.url}/apis/hauberk.dev/v1alpha1/namespaces/${namespace}/securitypolicies`
  let late = 0
  const send = async (method: string, url: string, expected: number, contentType: string, body?: unknown) => {
    const text = body === undefined ? null : JSON.stringify(body)
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(url, { method, headers: { 'content-type': contentType }, body: text })
      const said = await response.text()
      if (response.status === expected) return
      const isLate = response.status === 500 && /failed calling webhook.*deadline exceeded/.test(said)
      if (!isLate || attempt === ATTEMPTS) assert.equal(response.status, expected, said)
      late += 1
      await sleep(attempt * 250)
    }
  }
  const set = (number: number, path: string) =>
    send('PATCH', `${base}/deny-${number}`, 200, 'application/merge-patch+json', { spec: specDenying(path) })
  return {
    async create(count, from = 0) {
      let next = from
      const writer = async () => {
        while (next < count) {
          const number = next++
          await send('POST', base, 201, 'application/json', policyDenying(namespace, number))
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, writer))
    },
    async edit({ perSecond, atOnce, forMs, count }) {
      const path = (edit: number) => `/edited/${edit}`
      const began = performance.now()
      let edits = 0
      const writer = async () => {
        for (let passedMs = 0; passedMs < forMs; passedMs = performance.now() - began) {
          if (edits >= (passedMs / 1_000) * perSecond) await sleep(2)
          else {
            const edit = edits++
            await set(edit % count, path(edit))
          }
        }
      }
      await Promise.all(Array.from({ length: atOnce }, writer))
      await set(edits % count, path(edits))
      return { edits: edits + 1, lastPath: path(edits), tookMs: performance.now() - began }
    },
    set,
    remove: (number) => send('DELETE', `${base}/deny-${number}`, 200, 'application/json'),
    late: () => late,
    stop: () => proxy.stop(),
  }
}

function policyDenying(namespace: string, number: number) {
  const targetRefs = [{ kind: 'Service', name: 'server' }]
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name: `deny-${number}`, namespace },
    spec: { targetRefs, ...specDenying(`/never/${number}`) },
  }
}

function specDenying(path: string) {
  return { authorization: { deny: [{ name: 'never', to: { paths: [path] } }] } }
}
