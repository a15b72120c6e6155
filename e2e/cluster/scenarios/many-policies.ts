import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../world/until.ts'
import { loadedPair } from '../loaded-pair.ts'
import type { ClusterScenario } from '../scenario.ts'

const NS = 'e2e-many'
const POLICIES = 1_000
const EDITS_PER_SECOND = 100
/** More are not under way at once: whoever writes waits for answers, as every controller does. */
const EDITS_AT_ONCE = 32
const EDITS_FOR_MS = 10_000
const IN_FORCE_WITHIN_MS = 10_000

export const manyPolicies: ClusterScenario = {
  name: 'many-policies',
  title: 'F23: a thousand policies at once, then a hundred edits a second: the last one is in force within 10 s',
  async *run(world) {
    const { inside } = world
    await loadedPair(world, NS)
    const ask = async (path: string) => (await inside(`${NS}/client`).ask({ url: `http://server.${NS}${path}` })).status

    const start = performance.now()
    await createAll(world)
    const appliedMs = Math.round(performance.now() - start)
    const last = `/never/${POLICIES - 1}`
    await until('the last one is in force', async () => (await ask(last)) === 403, { withinMs: 60_000, everyMs: 100 })
    const afterMs = Math.round(performance.now() - start) - appliedMs
    assert.ok(afterMs <= IN_FORCE_WITHIN_MS, `in force ${afterMs} ms after the last was written`)
    assert.equal(await ask('/'), 200)
    yield {
      sent: `${POLICIES} policies for one Service`,
      got: `the last one in force ${Math.max(0, afterMs)} ms after it was written (all: ${Math.round(appliedMs / 1_000)} s)`,
    }

    const result = await editsFromInside(world)
    const edited = performance.now()
    await until('the last edit is in force', async () => (await ask(result.lastPath)) === 403, {
      withinMs: 60_000,
      everyMs: 100,
    })
    const tookMs = Math.round(performance.now() - edited)
    assert.ok(tookMs <= IN_FORCE_WITHIN_MS, `in force after ${tookMs} ms`)
    yield {
      sent: `${result.edits} edits in ${(result.tookMs / 1_000).toFixed(1)} s`,
      got: `the last one in force after ${tookMs} ms`,
    }
  },
}

/** Without kubectl: one for each edit would be the slowest part by far. */
async function editsFromInside({ kubectl }: Parameters<ClusterScenario['run']>[0]) {
  const proxy = await kubectl.proxy()
  const edit = async (number: number) => {
    const url = `${proxy.url}/apis/hauberk.dev/v1alpha1/namespaces/${NS}/securitypolicies/deny-${number % POLICIES}`
    const body = JSON.stringify({
      spec: { authorization: { deny: [{ name: 'never', to: { paths: [editedPath(number)] } }] } },
    })
    const headers = { 'content-type': 'application/merge-patch+json' }
    const response = await fetch(url, { method: 'PATCH', headers, body })
    const said = await response.text()
    assert.equal(response.status, 200, said)
  }
  try {
    const began = performance.now()
    let edits = 0
    const writer = async () => {
      for (let passedMs = 0; passedMs < EDITS_FOR_MS; passedMs = performance.now() - began) {
        if (edits >= (passedMs / 1_000) * EDITS_PER_SECOND) await sleep(2)
        else await edit(edits++)
      }
    }
    await Promise.all(Array.from({ length: EDITS_AT_ONCE }, writer))
    // The very last one, when all others are stored.
    await edit(edits)
    return { edits: edits + 1, lastPath: editedPath(edits), tookMs: performance.now() - began }
  } finally {
    proxy.stop()
  }
}

function editedPath(number: number): string {
  return `/edited/${number}`
}

/** Twenty at a time: kubectl would write one after the other. */
async function createAll({ kubectl }: Parameters<ClusterScenario['run']>[0]): Promise<void> {
  const proxy = await kubectl.proxy()
  try {
    const url = `${proxy.url}/apis/hauberk.dev/v1alpha1/namespaces/${NS}/securitypolicies`
    const headers = { 'content-type': 'application/json' }
    const waiting = Array.from({ length: POLICIES }, (_, i) => i)
    const worker = async () => {
      for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
        const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(denying(i, `/never/${i}`)) })
        assert.equal(response.status, 201, await response.text())
      }
    }
    await Promise.all(Array.from({ length: 20 }, worker))
  } finally {
    proxy.stop()
  }
}

function denying(i: number, path: string) {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name: `deny-${i}`, namespace: NS },
    spec: {
      targetRefs: [{ kind: 'Service', name: 'server' }],
      authorization: { deny: [{ name: 'never', to: { paths: [path] } }] },
    },
  }
}
