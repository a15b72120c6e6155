import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { createTaps, readTapFilter } from '../../sidecar/observe/taps.ts'
import { runHauberk } from '../testing/run-hauberk.ts'
import { runningMesh } from '../testing/running-mesh.ts'

/** A mesh of one sidecar that makes these decisions as soon as it is tapped. */
function meshOf(t: Parameters<typeof runningMesh>[0], ...paths: readonly string[]) {
  const taps = createTaps({ workload: 'shop/orders', clock: systemClock })
  const decide = (path: string, i: number) => {
    taps.request({
      ...{ timeMs: 0, durationMs: 1, decisionId: `d${i}`, requestId: 'r', direction: 'inbound', listener: '80' },
      ...{ spiffeId: 'spiffe://mesh/ns/shop/sa/web', clientIp: '10.0.0.1', route: 'r', upstream: 'app', method: 'GET' },
      ...{ endpoint: undefined, host: 'orders', path, status: 200, outcome: 'allowed', refusal: undefined },
      ...{ rule: undefined, wouldDeny: undefined, issuer: undefined, subject: undefined },
      ...{ bytesIn: 0, bytesOut: 0, retried: false },
    })
  }
  const spiffeId = 'spiffe://mesh/ns/shop/sa/orders'
  return runningMesh(t, {
    status: undefined,
    proxies: [
      {
        ...{ workload: 'shop/orders', role: 'sidecar' as const, spiffeId },
        routes: [
          {
            method: 'GET',
            path: '/tap',
            handle({ query, signal }) {
              const filter = readTapFilter(query)
              const lines = filter && taps.open(filter, signal)
              if (lines === undefined) return { status: 400 }
              for (const [i, path] of paths.entries()) decide(path, i)
              return { contentType: 'application/x-ndjson', body: lines }
            },
          },
        ],
      },
    ],
  })
}

test('decisions are shown as they are made, as many as one asked for, and what was too fast is said', async (t) => {
  const state = await meshOf(t, '/a', '/b', '/api/c', '/api/d')
  const text = await runHauberk(['tap', '--state', state, '--count', '2', '--path', '/api'], { cwd: '/' })
  assert.equal(text.code, 0, text.stderr)
  const lines = text.stdout.trimEnd().split('\n')
  assert.match(lines[0] ?? '', /shop\/web → shop\/orders +GET \/api\/c +200/)
  assert.match(lines[1] ?? '', /GET \/api\/d/)
  assert.equal(lines.length, 2)
  const args = ['tap', 'orders', '--state', state, '--count', '1', '--max-rate', '1', '-o', 'json']
  const json = await runHauberk(args, { cwd: '/' })
  assert.equal(JSON.parse(json.stdout)['url.path'], '/a')
})

test('T32: a path does not write to the terminal of whoever taps', async (t) => {
  const state = await meshOf(t, '/\u001b]0;evil\u0007\u202e\u009b2J')
  const text = await runHauberk(['tap', '--state', state, '--count', '1'], { cwd: '/' })
  const json = await runHauberk(['tap', '--state', state, '--count', '1', '-o', 'json'], { cwd: '/' })
  for (const { stdout, stderr } of [text, json]) {
    assert.match(stdout, /evil/, stderr)
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
  }
})

test('a sidecar that cannot be tapped is named, and a filter that nobody knows is refused', async (t) => {
  const state = await runningMesh(t, {
    status: undefined,
    proxies: [{ workload: 'shop/old', role: 'sidecar', spiffeId: 'spiffe://mesh/ns/shop/sa/old', routes: [] }],
  })
  const old = await runHauberk(['tap', '--state', state], { cwd: '/' })
  assert.deepEqual([old.code, old.stderr], [1, 'shop/old cannot be tapped: it is of an older release\n'])
  const rate = await runHauberk(['tap', '--state', state, '--max-rate', '0'], { cwd: '/' })
  assert.equal(rate.code, 2)
})
