import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { read } from '../../contract/codec.ts'
import { EndpointsDocument } from '../../contract/endpoints.ts'
import { WorkloadConfig } from '../../contract/workload-config.ts'
import { resourcesIn, translateAll } from './testing/world.ts'
import type { Translation } from './translate.ts'

/**
 * Pairs of files: resources, and what translation makes of them. An `.out.yaml` names only what its behaviour is about:
 * a member that it does not name may be anything, one that is `null` may not be there, and lists are whole.
 */
const TESTDATA = new URL('./testdata/', import.meta.url)

describe('translate', () => {
  const inputs = readdirSync(TESTDATA).filter((file) => file.endsWith('.in.yaml'))
  for (const input of inputs) {
    it(input.slice(0, -'.in.yaml'.length).replaceAll('-', ' '), () => {
      const translation = translateAll(resourcesIn(readFileSync(new URL(input, TESTDATA), 'utf8')))
      const expected: unknown = parse(readFileSync(new URL(input.replace('.in.', '.out.'), TESTDATA), 'utf8'))
      assert.deepEqual(namedIn(expected, asTree(translation)), expected)
      for (const config of translation.configs.values()) assert.deepEqual(read(WorkloadConfig, config).ok, true)
      for (const document of translation.endpoints.values())
        assert.deepEqual(read(EndpointsDocument, document).ok, true)
    })
  }
})

function asTree({ configs, endpoints, issuers, reports }: Translation): unknown {
  return JSON.parse(
    JSON.stringify({
      configs: Object.fromEntries(configs),
      endpoints: Object.fromEntries([...endpoints].map(([id, document]) => [id, document.endpoints])),
      meshed: Object.fromEntries([...endpoints].map(([id, document]) => [id, document.meshed])),
      zones: Object.fromEntries([...endpoints].map(([id, document]) => [id, document.zones])),
      replicas: Object.fromEntries([...endpoints].map(([id, document]) => [id, document.replicas])),
      issuers: Object.fromEntries(issuers),
      reports: Object.fromEntries(reports),
    }),
  )
}

/** The part of `actual` that `expected` speaks of. */
function namedIn(expected: unknown, actual: unknown): unknown {
  if (expected === null) return actual === undefined ? null : actual
  if (Array.isArray(expected) && Array.isArray(actual)) {
    return actual.map((item, i) => (i < expected.length ? namedIn(expected[i], item) : item))
  }
  if (typeof expected !== 'object' || typeof actual !== 'object' || actual === null || Array.isArray(actual)) {
    return actual
  }
  return Object.fromEntries(
    Object.entries(expected).map(([name, part]) => [name, namedIn(part, (actual as Record<string, unknown>)[name])]),
  )
}
